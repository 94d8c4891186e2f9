use super::*;
use crate::session::{Mode, Monitor};
use crate::testing::{Kept, Random, VIRTUAL, rounds, subject};
use commands::schema;
use proteus_exec::runner::{Cause, Pause, RunState, Runner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a client that has said `qmp_capabilities` is answered, a line each.
fn conversation(input: &str) -> Vec<Json> {
    let (subject, run) = subject();
    run.set(RunState::Running);
    let (inbox, wire) = (Arc::<Inbox>::default(), Kept::default());
    let ear = inbox.clone();
    run.subscribe(Box::new(move |event| ear.post(Message::Run(event, SystemTime::UNIX_EPOCH))));
    inbox.post(Message::Opened);
    inbox.post(Message::Input(b"{\"execute\": \"qmp_capabilities\"}".to_vec()));
    inbox.post(Message::Input(input.into()));
    inbox.post(Message::End);
    Session::new(&subject, &inbox, &wire, false).run();
    let lines: Vec<Json> = wire.take().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["QMP"]["version"]["qemu"], json!({"major": 10, "minor": 0, "micro": 2}));
    assert_eq!(lines[1], json!({"return": {}}));
    lines[2..].to_vec()
}

fn error(class: &str, text: &str) -> Json {
    json!({"error": {"class": class, "desc": text}})
}

#[test]
fn errors_are_qemus() {
    let generic = |text: &str| error("GenericError", text);
    let cases: &[(&str, Json)] = &[
        ("hello\n", generic("JSON parse error, invalid keyword 'hello'")),
        ("[1,2]", generic("QMP input must be a JSON object")),
        (r#"{"foo":1}"#, generic("QMP input member 'foo' is unexpected")),
        (r#"{}"#, generic("QMP input lacks member 'execute'")),
        (r#"{"execute":1}"#, generic("QMP input member 'execute' must be a string")),
        (r#"{"execute":"stop","arguments":1}"#, generic("QMP input member 'arguments' must be an object")),
        (r#"{"execute":"stop","foo":1}"#, generic("QMP input member 'foo' is unexpected")),
        (r#"{"execute":"stop","arguments":{"x":1}}"#, generic("Parameter 'x' is unexpected")),
        (r#"{"execute":"memsave","arguments":{"val":"x"}}"#, generic("Invalid parameter type for 'val', expected: integer")),
        (r#"{"execute":"memsave","arguments":{"val":1}}"#, generic("Parameter 'size' is missing")),
        (r#"{"execute":"memsave","arguments":{"val":1,"size":1,"filename":"x","cpu-index":2}}"#, generic("Parameter 'cpu-index' expects a CPU number")),
        (
            r#"{"execute":"pmemsave","arguments":{"val":1,"size":1,"filename":"/nonexistent/x"}}"#,
            generic("Could not open '/nonexistent/x': No such file or directory"),
        ),
        (r#"{"execute":"nope"}"#, error("CommandNotFound", "The command nope has not been found")),
        (r#"{"execute":"device_add"}"#, error("CommandNotFound", "The command device_add has not been found")),
        (r#"{"execute":"qmp_capabilities"}"#, error("CommandNotFound", "Capabilities negotiation is already complete, command ignored")),
        (r#"{"execute":"qom-list","arguments":{"path":"/foo"}}"#, error("DeviceNotFound", "Device '/foo' not found")),
        (r#"{"execute":"qom-get","arguments":{"path":"/machine","property":"foo"}}"#, generic("Property 'test-machine.foo' not found")),
    ];
    for (input, want) in cases {
        assert_eq!(conversation(input), std::slice::from_ref(want), "{input}");
    }
}

#[test]
fn commands_answer() {
    let cases: &[(&str, Json)] = &[
        (r#"{"execute":"query-status"}"#, json!({"running": true, "status": "running"})),
        (r#"{"execute":"query-name"}"#, json!({"name": "guest"})),
        (r#"{"execute":"query-uuid"}"#, json!({"UUID": "abababab-abab-abab-abab-abababababab"})),
        (r#"{"execute":"query-kvm"}"#, json!({"enabled": false, "present": true})),
        (r#"{"execute":"query-target"}"#, json!({"arch": "aarch64"})),
        (r#"{"execute":"query-iothreads"}"#, json!([])),
        (r#"{"execute":"query-block"}"#, json!([])),
        (r#"{"execute":"query-memory-size-summary"}"#, json!({"base-memory": 65536})),
        (r#"{"execute":"query-chardev"}"#, json!([{"label": "con", "filename": "pty:/dev/pts/7", "frontend-open": true}])),
        (
            r#"{"execute":"query-cpus-fast"}"#,
            json!([
                {"cpu-index": 0, "qom-path": "/machine/core0", "thread-id": 101, "target": "aarch64"},
                {"cpu-index": 1, "qom-path": "/machine/core1", "thread-id": 102, "target": "aarch64"},
            ]),
        ),
        (r#"{"execute":"qom-get","arguments":{"path":"/machine/core1","property":"x0"}}"#, json!(1)),
        (r#"{"execute":"qom-get","arguments":{"path":"/machine","property":"core1"}}"#, json!("/machine/core1")),
        (r#"{"execute":"qom-list","arguments":{"path":"/"}}"#, json!([{"name": "machine", "type": "child<test-machine>"}])),
        (r#"{"execute":"qom-list","arguments":{"path":"/machine/peripheral"}}"#, json!([])),
        (r#"{"execute":"human-monitor-command","arguments":{"command-line":"p $x0","cpu-index":1}}"#, json!("0x1\r\n")),
    ];
    for (input, want) in cases {
        assert_eq!(conversation(input), [json!({"return": want})], "{input}");
    }
    let memory = conversation(r#"{"execute":"query-version"}"#);
    assert!(memory[0]["return"]["package"].as_str().unwrap().starts_with("Proteus "));
}

#[test]
fn ids_come_back_and_commands_may_follow_each_other() {
    let got = conversation(r#"{"execute":"query-iothreads","id":{"a":[1]}}{"execute":"nope","id":2}{'execute':'query-iothreads'}"#);
    assert_eq!(got[0], json!({"return": [], "id": {"a": [1]}}));
    assert_eq!((&got[1]["id"], &got[1]["error"]["class"]), (&json!(2), &json!("CommandNotFound")));
    assert_eq!(got[2], json!({"return": []}));
}

#[test]
fn nothing_is_obeyed_before_the_conversation_has_begun() {
    let (subject, run) = subject();
    let (inbox, wire) = (Inbox::default(), Kept::default());
    inbox.post(Message::Opened);
    inbox.post(Message::Input(br#"{"execute":"cont"}{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}"#.to_vec()));
    // An event is for those who have begun, and nobody is told of what was before he came.
    inbox.post(Message::Run(RunEvent::Resume, SystemTime::UNIX_EPOCH));
    inbox.post(Message::Closed);
    inbox.post(Message::Opened);
    inbox.post(Message::End);
    Session::new(&subject, &inbox, &wire, false).run();
    assert_eq!(wire.take().matches("\"QMP\"").count(), 1, "the first client has gone before it was greeted");
    assert!(run.told.lock().is_empty());
}

#[test]
fn capabilities_are_agreed_upon_first() {
    let (subject, run) = subject();
    let (inbox, wire) = (Inbox::default(), Kept::default());
    inbox.post(Message::Opened);
    let input =
        br#"{"execute":"cont"}{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}{"execute":"qmp_capabilities","arguments":{"enable":["x"]}}"#;
    inbox.post(Message::Run(RunEvent::Resume, SystemTime::UNIX_EPOCH));
    inbox.post(Message::Input(input.to_vec()));
    inbox.post(Message::End);
    Session::new(&subject, &inbox, &wire, false).run();
    let said: Vec<Json> = wire.take().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let want = [
        error("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'"),
        error("GenericError", "Capability 'oob' not available"),
        error("GenericError", "Parameter 'enable' does not accept value 'x'"),
    ];
    assert_eq!(said[1..], want);
    assert!(run.told.lock().is_empty());
}

#[test]
fn what_a_command_does_is_told_before_its_answer() {
    let got = conversation(r#"{"execute":"stop"}{"execute":"query-status"}{"execute":"cont"}{"execute":"system_reset"}{"execute":"quit"}"#);
    let at = json!({"seconds": 0, "microseconds": 0});
    let event = |name: &str| json!({"event": name, "timestamp": at});
    let with = |name: &str, reason: &str| json!({"event": name, "timestamp": at, "data": {"guest": false, "reason": reason}});
    let done = json!({"return": {}});
    let want = [
        event("STOP"),
        done.clone(),
        json!({"return": {"running": false, "status": "paused"}}),
        event("RESUME"),
        done.clone(),
        with("RESET", "host-qmp-system-reset"),
        done.clone(),
        with("SHUTDOWN", "host-qmp-quit"),
        done,
    ];
    assert_eq!(got, want);
}

#[test]
fn a_run_that_stopped_for_good_wants_a_reset() {
    for (why, status) in [(Pause::Shutdown, "shutdown"), (Pause::Panic, "guest-panicked"), (Pause::InternalError, "internal-error")] {
        let (subject, run) = subject();
        run.set(RunState::Paused(why));
        let go = COMMANDS.iter().find(|c| c.name == "cont").unwrap();
        let refused = (go.run)(&subject, json!({})).unwrap_err();
        assert_eq!(refused, Error::generic("Resetting the Virtual Machine is required"));
        assert_eq!(super::status(run.state()).status.name(), status);
        run.set(RunState::Paused(Pause::Asked));
        assert!((go.run)(&subject, json!({})).is_ok());
    }
}

#[test]
fn memory_is_saved_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("memory");
    let save = |command: &str, address: u64, size: u64| {
        let request = json!({"execute": command, "arguments": {"val": address, "size": size, "filename": file}});
        conversation(&request.to_string()).remove(0)
    };
    for (command, address) in [("pmemsave", 0x1200), ("memsave", VIRTUAL + 0x1200)] {
        assert_eq!(save(command, address, 256), json!({"return": {}}));
        assert_eq!(std::fs::read(&file).unwrap(), (0..=255).collect::<Vec<u8>>());
    }
    let text = "Invalid addr 0x0000000000010fff/size 3 specified";
    assert_eq!(save("pmemsave", 0x10fff, 3), error("GenericError", text));
}

#[test]
fn the_schema_describes_all_that_it_names() {
    let all = schema();
    let mut by_name: BTreeMap<(bool, &str), &Json> = BTreeMap::new();
    let is_type = |e: &Json| !matches!(e["meta-type"].as_str().unwrap(), "command" | "event");
    for entry in all {
        let name = entry["name"].as_str().unwrap();
        assert!(by_name.insert((is_type(entry), name), entry).is_none(), "{name} is there twice");
    }
    let mut used = BTreeSet::new();
    for entry in all {
        let kind = entry["meta-type"].as_str().unwrap();
        let types: Vec<&Json> = match kind {
            "command" => vec![&entry["arg-type"], &entry["ret-type"]],
            "event" => vec![&entry["arg-type"]],
            "array" => vec![&entry["element-type"]],
            "object" => entry["members"].as_array().unwrap().iter().map(|m| &m["type"]).collect(),
            "enum" | "builtin" => Vec::new(),
            other => panic!("meta-type {other}"),
        };
        for ty in types {
            let name = ty.as_str().unwrap();
            let found = by_name.get(&(true, name)).unwrap_or_else(|| panic!("{name} is not described"));
            assert!(!matches!((kind, found["meta-type"].as_str()), ("command" | "event", Some("builtin"))) || *ty == entry["ret-type"]);
            used.insert(name);
        }
        if let ("command" | "event", Some(ty)) = (kind, entry["arg-type"].as_str()) {
            assert_eq!(by_name[&(true, ty)]["meta-type"], "object", "arguments are objects");
        }
    }
    let described: BTreeSet<&str> = all.iter().filter(|e| is_type(e)).map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(described, used);
    let names: BTreeSet<_> = COMMANDS.iter().map(|c| c.name).collect();
    assert_eq!(names.len(), COMMANDS.len());
    assert!(COMMANDS.iter().all(|c| !c.doc.is_empty()));
    let memsave = by_name[&(false, "memsave")];
    let members = by_name[&(true, memsave["arg-type"].as_str().unwrap())]["members"].as_array().unwrap();
    assert_eq!(members[3], json!({"name": "cpu-index", "type": "int", "default": null}));
}

/// Something like a message, more or less.
fn noise(random: &mut Random) -> Vec<u8> {
    const WORDS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        ":",
        ",",
        "\\",
        "\n",
        " ",
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "true",
        "\\u12",
        "\u{e9}",
        "\"execute\"",
        "\"arguments\"",
        "\"id\"",
        "\"stop\"",
        "\"query-status\"",
        "\"val\"",
        "\"qom-list\"",
        "\"path\"",
        "\"/machine\"",
        "\"command-line\"",
        "\"human-monitor-command\"",
        "\"p (((1\"",
        "{\"execute\":\"query-status\"}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"x/",
    ];
    let mut out = Vec::new();
    for _ in 0..1 + random.below(12) {
        match random.below(8) {
            0 => out.push(random.below(256) as u8),
            _ => out.extend(WORDS[random.below(WORDS.len())].bytes()),
        }
    }
    out
}

#[test]
fn garbage_neither_panics_nor_ends_a_session() {
    let (subject, _) = subject();
    let (inbox, wire) = (Inbox::default(), Kept::default());
    let mut session = Session::new(&subject, &inbox, &wire, false);
    (session.open, session.negotiated) = (true, true);
    let mut random = Random(1);
    let mut answers = 0;
    for n in 0..rounds(100_000, 1_000_000) {
        for byte in noise(&mut random) {
            if let Some(piece) = session.input.feed(byte) {
                session.message(piece);
            }
        }
        if n % 1000 == 0 {
            answers += wire.take().lines().inspect(|line| drop(serde_json::from_str::<Json>(line).unwrap())).count();
        }
    }
    assert!(answers > 1000, "{answers}");
    // However it was left, it finds its way back.
    for byte in b"\"\n\"\xff\x01\n{\"execute\":\"query-iothreads\",\"id\":7}" {
        if let Some(piece) = session.input.feed(*byte) {
            session.message(piece);
        }
    }
    session.input = Splitter::default();
    for byte in b"{\"execute\":\"query-iothreads\",\"id\":8}" {
        if let Some(piece) = session.input.feed(*byte) {
            session.message(piece);
        }
    }
    assert!(wire.take().ends_with("{\"id\": 8, \"return\": []}\r\n"));
}

#[test]
fn a_client_hears_of_the_end_before_the_program_ends() {
    let (about, run) = subject();
    let subject = Arc::new(OnceLock::new());
    let wire = Arc::new(Kept::default());
    let monitor = Monitor::start(&*run, subject.clone(), Mode::Control { pretty: false }, wire.clone()).unwrap();
    let inbox = monitor.inbox();
    inbox.post(Message::Opened);
    inbox.post(Message::Input(b"{\"execute\":\"qmp_capabilities\"}".to_vec()));
    assert!(subject.set(about).is_ok());
    run.tell(RunEvent::Shutdown(Cause::GuestShutdown));
    monitor.end(Instant::now() + Duration::from_secs(60));
    let said = wire.take();
    assert!(said.contains("\"guest\": true, \"reason\": \"guest-shutdown\""), "{said}");
}

/// What libvirt looks up before it starts a machine, and at its start.
#[test]
fn types_options_and_models_are_told_or_refused_by_class() {
    let (subject, _) = subject();
    let (inbox, wire) = (Inbox::default(), Kept::default());
    let mut session = Session::new(&subject, &inbox, &wire, false);
    (session.open, session.negotiated) = (true, true);
    let mut ask = |name: &str, arguments: Json| {
        session.message(Ok(json!({"execute": name, "arguments": arguments})));
        serde_json::from_str::<Json>(&wire.take()).unwrap()
    };
    let names = |answer: &Json| answer["return"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(names(&ask("qom-list-types", json!({}))), ["pl011", "cortex-a53-arm-cpu"]);
    assert_eq!(names(&ask("qom-list-types", json!({"implements": "cpu"}))), ["cortex-a53-arm-cpu"]);
    assert_eq!(names(&ask("qom-list-types", json!({"implements": "machine", "abstract": false}))), [""; 0]);
    let cases = [
        ("device-list-properties", json!({"typename": "pl011"}), json!([])),
        ("qom-list-properties", json!({"typename": "virt-machine"}), json!([])),
        ("qom-list-properties", json!({"typename": "cortex-a53-arm-cpu"}), json!([{"name": "pmu", "type": "bool", "default-value": true}])),
        ("query-command-line-options", json!({"option": "smp"}), json!([{"option": "smp", "parameters": []}])),
        ("query-migrate-capabilities", json!({}), json!([])),
        ("migrate-set-capabilities", json!({"capabilities": []}), json!({})),
        ("query-named-block-nodes", json!({"flat": true}), json!([])),
        ("query-tpm-models", json!({}), json!([])),
        ("query-tpm-types", json!({}), json!([])),
        ("query-gic-capabilities", json!({}), json!([{"version": 2, "emulated": true, "kernel": false}, {"version": 3, "emulated": true, "kernel": false}])),
        (
            "query-cpu-model-expansion",
            json!({"type": "full", "model": {"name": "cortex-a53", "props": {"pmu": true}}}),
            json!({"model": {"name": "cortex-a53", "props": {"pmu": true}}}),
        ),
    ];
    for (name, arguments, want) in cases {
        assert_eq!(ask(name, arguments), json!({"return": want}), "{name}");
    }
    let refused = [
        ("device-list-properties", json!({"typename": "nvdimm"}), "DeviceNotFound"),
        ("qom-list-properties", json!({"typename": "none-machine"}), "DeviceNotFound"),
        ("query-command-line-options", json!({"option": "spice"}), "GenericError"),
        ("migrate-set-capabilities", json!({"capabilities": [{"capability": "events", "state": true}]}), "GenericError"),
        ("query-cpu-model-expansion", json!({"type": "static", "model": {"name": "cortex-a53"}}), "GenericError"),
        ("query-cpu-model-expansion", json!({"type": "full", "model": {"name": "host"}}), "GenericError"),
        ("query-cpu-model-expansion", json!({"type": "full", "model": {"name": "cortex-a53", "props": {"pmu": false}}}), "GenericError"),
        ("query-cpu-model-expansion", json!({"type": "full", "model": {"name": "cortex-a53", "props": {"sve": true}}}), "GenericError"),
    ];
    for (name, arguments, class) in refused {
        assert_eq!(ask(name, arguments)["error"]["class"], class, "{name}");
    }
}

#[test]
fn a_crash_of_the_guest_is_told() {
    use proteus_exec::runner::AfterPanic;
    for (after, action) in [(AfterPanic::GoesOn, "run"), (AfterPanic::Stops, "pause"), (AfterPanic::Ends, "poweroff")] {
        let told = events::message(RunEvent::Panicked(after), SystemTime::UNIX_EPOCH);
        assert_eq!((&told["event"], &told["data"]), (&json!("GUEST_PANICKED"), &json!({"action": action})));
    }
}
