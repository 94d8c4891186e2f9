use crate::{Builder, cube, parse, tree};

/// Tables, and what the error must say; none if the table is right.
const CASES: &[(&str, Option<&str>)] = &[
    ("&r rd\nA 0 rd:5 00000 00000000000000000000 0 &r", None),
    ("A ................................", None),
    ("A 000000000000000000000000000000.\nB 0000000000000000000000000000001.", Some("t:1: A has 31 bits, not 32")),
    ("A 00000000000000000000000000000000\nB 0000000000000000000000000000000.", Some("t:2: B overlaps A (t:1)")),
    ("{\nA 00000000000000000000000000000000\nB 0000000000000000000000000000000.\n}", None),
    ("{\nB 0000000000000000000000000000000.\nA 00000000000000000000000000000000\n}", Some("t:3: A is unreachable")),
    ("{\nA 00000000000000000000000000000000\nB 00000000000000000000000000000001\nC 0000000000000000000000000000000.\n}", Some("t:4: C is unreachable")),
    ("A 0000000000000000000000000000 _f:4 !_f=0b1xxx\nB 00000000000000000000000000001000", None),
    ("A 0000000000000000000000000000 _f:4 !_f=0b10xx\nB 0000000000000000000000000000100.", None),
    (
        "A 0000000000000000000000000000 _f:4 !_f=0b10xx\nB 000000000000000000000000000010.. \nC 0000000000000000000000000000.000",
        Some("t:3: C overlaps A (t:1), both match 0x00000000"),
    ),
    ("A 0000000000000000000000000000000 _f:1 !_f=0,1", Some("t:1: A is unreachable")),
    ("A 0000000000000000000000000000000 _f:1 !_f=2", Some("2 does not fit 1 bits")),
    ("A 0000000000000000000000000000000 _f:1 !_g=1", Some("there is no field _g")),
    ("&r rd rn\nA 000000000000000000000000000 rd:5 &r", Some("t:2: A does not fill &r: rn missing")),
    ("&r rd\nA 0000000000000000000000 rn:5 rd:5 &r", Some("t:2: A does not fit &r: rn is not in it")),
    ("A 0000000000000000000000 rn:5 rd:5", Some("t:1: A does not fit no set: rd, rn is not in it")),
    ("&r rd\nA 0000000000000000000000 rd:5 rd:5 &r", Some("t:2: duplicate field rd")),
    ("A 00000000000000000000000000000000\na 00000000000000000000000000000001", Some("t:2: duplicate name a: A is at t:1")),
    ("&r rd\n&r rd\nA 000000000000000000000000000 rd:5 &r", Some("t:2: duplicate set &r")),
    ("&r rd rd\n", Some("t:1: duplicate field rd in &r")),
    ("&r rd\nA ................................", Some("t:1: no pattern uses &r")),
    ("A ................................ &r", Some("t:1: unknown set &r")),
    ("&r i\nA 000000000000000000000000000 i:5 &r\nB 100000000000000000000000000 i:s5 &r", Some("i is signed in B and unsigned in A")),
    ("&r i\nA 000000000000000000000000000 i:5 &r\nB 10000000000000000000000000000000 i=-1 &r", Some("i is signed in B")),
    ("{\nA 00000000000000000000000000000000\n", Some("t:1: this brace is not closed")),
    ("}\nA 00000000000000000000000000000000\n", Some("t:1: no brace is open")),
    ("A 0000000000000000000000000000002.", Some("neither bits")),
    ("A 00000000000000000000000000000000 \\\n  ?one ?two", Some("t:1: a pattern has one feature")),
    ("", Some("no patterns")),
];

#[test]
fn faults_are_found_and_placed() {
    for (text, expected) in CASES {
        let result = Builder::new("t").text("t", text).source();
        match (result, expected) {
            (Ok(_), None) => {}
            (Ok(_), Some(e)) => panic!("accepted, expected {e:?}:\n{text}"),
            (Err(e), None) => panic!("refused with {e}:\n{text}"),
            (Err(e), Some(x)) => assert!(e.to_string().contains(x), "{e}\ndoes not say {x:?}:\n{text}"),
        }
    }
}

#[test]
fn files_share_sets_and_conflict_with_each_other() {
    let a = "A 000000000000000000000000000 rd:5 &r";
    let ok = Builder::new("t").text("a", a).text("b", "&r rd\nB 100000000000000000000000000 rd:5 &r").source();
    assert!(ok.is_ok(), "{ok:?}");
    let bad = Builder::new("t").text("a", a).text("b", "&r rd\nB 00000000000000000000000000000000 rd=1 &r").source();
    let Err(e) = bad else { panic!("overlap across files accepted") };
    assert!(e.to_string().contains("b:2: B overlaps A (a:1)"), "{e}");
}

#[test]
fn sixteen_bit_words() {
    assert!(Builder::new("t").width(16).text("t", "&r a\nA 00000000000 a:5 &r").source().is_ok());
    assert!(Builder::new("t").width(24).text("t", "A ........................").source().is_err());
}

/// A generator for tests: every table and word follows from the seed.
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

/// A table of overlapping patterns in few distinct bits, half of them constrained.
fn random_table(seed: &mut u32) -> String {
    let mut text = "{\n".to_owned();
    for i in 0..80 {
        let fixed = next(seed) & next(seed);
        let value = next(seed);
        text += &format!("P{i} 000000000000");
        for bit in 0..12 {
            text += match (fixed >> bit & 1, value >> bit & 1) {
                (0, _) => ".",
                (_, 0) => "0",
                (_, _) => "1",
            };
        }
        text += " _f:4 _g:4";
        if next(seed) & 1 == 0 {
            text += &format!(" !_f={} !_f,_g=0b{:04b}xx{:02b}", next(seed) & 15, next(seed) & 15, next(seed) & 3);
        }
        text += "\n";
    }
    text + "}\n"
}

#[test]
fn the_tree_decodes_as_a_linear_scan() {
    let mut seed = 0x1234_5678;
    let (mut hits, mut largest) = (0, 0);
    for _ in 0..20 {
        let text = random_table(&mut seed);
        let mut table = parse::parse(&[("t".to_owned(), text)], 32).unwrap();
        // What chance has made unreachable goes, one at a time: prove names them all.
        if let Err(faults) = cube::prove(&table) {
            table.patterns.retain(|p| !faults.iter().any(|f| f.contains(&format!(" {} is unreachable", p.name))));
        }
        let witnesses = cube::prove(&table).unwrap();
        largest = largest.max(table.patterns.len());
        let tree = tree::build(&table);
        let scan = |w: u32| table.patterns.iter().position(|p| p.cube.contains(w) && !p.exclusions.iter().any(|e| e.contains(w)));
        for (i, w) in witnesses.iter().enumerate() {
            assert_eq!(scan(*w), Some(i));
        }
        for _ in 0..50_000 {
            let word = next(&mut seed) & 0x001f_ffff;
            assert_eq!(tree.eval(word), scan(word), "{word:#x}");
            hits += usize::from(scan(word).is_some());
        }
    }
    assert!(largest >= tree::MANY, "no table has a window at its root");
    assert!(hits > 100_000, "{hits} of 1000000 words decode: the test has lost its point");
}
