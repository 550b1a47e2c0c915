//! The whole way once: nodes, a relay, loads, accounts, report. It asserts no figure, for those
//! belong to the machine.

use std::fs;
use std::process::Command;

#[test]
fn a_tiny_comparison_completes_without_errors() {
    let output = tempfile::tempdir().unwrap();
    let compared = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["compare", "--only", "relay", "--rounds", "1", "--seconds", "0.1"])
        .args(["--connections", "2", "--output"])
        .arg(output.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{said}");

    let results = fs::read_to_string(output.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let runs = results["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 9, "one for each scenario but that of routes: {said}");
    for run in runs {
        let measurement = &run["measurement"];
        assert!(measurement["units"].as_u64().unwrap() > 0, "{run}");
        assert_eq!(measurement["errors"], 0, "{run}");
        assert!(measurement["proxy"]["seconds"].is_f64(), "{run}");
    }
    let table = fs::read_to_string(output.path().join("results.md")).unwrap();
    assert!(table.contains("| echo64, µs/message |"), "{table}");
}
