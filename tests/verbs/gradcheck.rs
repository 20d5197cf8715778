//! `trm gradcheck`.

use super::{number, run};
use trm_kernels::Kernels;

#[test]
fn all_gradients_are_right_on_every_instruction_set() {
    let report = run(0, &["gradcheck", "--json"]).json();
    assert_eq!(report["ok"], true);
    let checks = report["checks"].as_array().expect("a list");
    for kernels in Kernels::available() {
        let of_isa = checks.iter().filter(|check| check["isa"] == kernels.name());
        assert!(of_isa.count() > 20, "{}", kernels.name());
    }
    assert!(
        checks
            .iter()
            .all(|check| number(check, "max_error") <= number(check, "bound"))
    );
}

#[test]
fn one_instruction_set_can_be_named() {
    let text = run(0, &["gradcheck", "--isa", "portable", "--seed", "4"]).out;
    assert!(
        text.contains("portable") && text.trim_end().ends_with("0 wrong"),
        "{text}"
    );
    let said = run(2, &["gradcheck", "--isa", "mmx"]);
    assert!(
        said.err.contains("mmx") && said.err.contains("portable"),
        "{}",
        said.err
    );
}
