//! The decision tree.

use crate::cube::Cube;
use crate::parse::Table;

/// A node of the decision tree; what it yields is a pattern's index.
pub enum Node {
    /// No pattern matches.
    None,
    /// The first test that holds decides: all of `fixed`, none of `exclusions`.
    Chain(Vec<Test>),
    /// By the bits of `mask`; the arms in ascending order.
    Switch { mask: u32, arms: Vec<(u32, Node)> },
}

/// A test for one pattern, less what the path has already decided.
pub struct Test {
    pub fixed: Cube,
    pub exclusions: Vec<Cube>,
    pub pattern: usize,
}

#[derive(Clone)]
struct Candidate {
    pattern: usize,
    cube: Cube,
    exclusions: Vec<Cube>,
}

/// Builds the tree of a table.
pub fn build(table: &Table) -> Node {
    let all = table.patterns.iter().enumerate();
    let all = all.map(|(pattern, p)| Candidate { pattern, cube: p.cube, exclusions: p.exclusions.clone() });
    node(all.collect(), Cube::ALL)
}

/// What is left of the candidates once the word is known to be in `path`.
fn restrict(candidates: &[Candidate], path: Cube) -> Vec<Candidate> {
    let mut left = Vec::new();
    for c in candidates {
        let Some(here) = c.cube.and(path) else {
            continue;
        };
        if c.exclusions.iter().any(|&e| here.within(e)) {
            continue;
        }
        let exclusions: Vec<Cube> = c.exclusions.iter().copied().filter(|e| !e.disjoint(here)).collect();
        let certain = c.cube.mask & !path.mask == 0 && exclusions.is_empty();
        left.push(Candidate { exclusions, ..c.clone() });
        if certain {
            break;
        }
    }
    left
}

fn chain(candidates: &[Candidate], path: Cube) -> Node {
    let unknown = |c: Cube| Cube { mask: c.mask & !path.mask, value: c.value & !path.mask };
    let test = |c: &Candidate| Test {
        fixed: unknown(c.cube),
        exclusions: c
            .exclusions
            .iter()
            .map(|&e| Cube { mask: e.mask & !path.mask & !c.cube.mask, ..e })
            .map(|e| Cube { value: e.value & e.mask, ..e })
            .collect(),
        pattern: c.pattern,
    };
    if candidates.is_empty() { Node::None } else { Node::Chain(candidates.iter().map(test).collect()) }
}

fn node(candidates: Vec<Candidate>, path: Cube) -> Node {
    if candidates.len() <= 1 {
        return chain(&candidates, path);
    }
    let shared = candidates.iter().fold(!path.mask, |m, c| m & c.cube.mask);
    let (mask, mut values): (u32, Vec<u32>) = if path.mask == 0 && candidates.len() >= MANY {
        let mask = best_window(&candidates);
        (mask, (0..1 << WINDOW).map(|v: u32| v << mask.trailing_zeros()).collect())
    } else if shared != 0 {
        (shared, candidates.iter().map(|c| c.cube.value & shared).collect())
    } else if let Some(bit) = best_bit(&candidates, path).filter(|_| candidates.len() > 2) {
        (bit, vec![0, bit])
    } else {
        return chain(&candidates, path);
    };
    values.sort_unstable();
    values.dedup();
    let arms = values.into_iter().map(|value| {
        let path = Cube { mask: path.mask | mask, value: path.value | value };
        (value, node(restrict(&candidates, path), path))
    });
    Node::Switch { mask, arms: arms.collect() }
}

/// From this many patterns on the root looks at a window of adjacent bits, even if some patterns
/// do not fix them all: one indirect jump costs less than the branches of several levels.
pub const MANY: usize = 32;
/// Bits of that window.
const WINDOW: u32 = 11;

/// The window in which the patterns fix the most bits.
fn best_window(candidates: &[Candidate]) -> u32 {
    let windows = (0..=32 - WINDOW).map(|shift| ((1 << WINDOW) - 1) << shift);
    let score = |&window: &u32| candidates.iter().map(|c| (c.cube.mask & window).count_ones()).sum::<u32>();
    windows.max_by_key(score).unwrap_or(0)
}

/// The bit that the most candidates fix, and of those the one that halves them best.
fn best_bit(candidates: &[Candidate], path: Cube) -> Option<u32> {
    let score = |bit: u32| {
        let fixing = candidates.iter().filter(|c| c.cube.mask & bit != 0);
        let (ones, zeros) = fixing.fold((0, 0), |(o, z), c| if c.cube.value & bit != 0 { (o + 1, z) } else { (o, z + 1) });
        (ones + zeros, usize::min(ones, zeros))
    };
    (0..32).map(|i| 1u32 << i).filter(|b| path.mask & b == 0).map(|b| (score(b), b)).filter(|(s, _)| s.0 > 0).max().map(|(_, b)| b)
}

#[cfg(test)]
impl Node {
    /// What the generated text computes.
    pub fn eval(&self, word: u32) -> Option<usize> {
        match self {
            Node::None => None,
            Node::Chain(tests) => tests.iter().find(|t| t.fixed.contains(word) && !t.exclusions.iter().any(|e| e.contains(word))).map(|t| t.pattern),
            Node::Switch { mask, arms } => arms.binary_search_by_key(&(word & mask), |a| a.0).ok().and_then(|i| arms[i].1.eval(word)),
        }
    }
}
