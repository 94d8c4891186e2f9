//! What every registered device must do.

use proteus_devices::REGISTRY;
use proteus_model::conformance;

#[test]
fn every_registered_device_conforms() {
    let failures: Vec<String> = REGISTRY.iter().filter_map(|ty| conformance::check(ty).err()).map(|f| f.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = REGISTRY.iter().map(|ty| ty.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
