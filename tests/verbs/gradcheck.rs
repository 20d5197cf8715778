//! `trm gradcheck`.

use super::{number, run, said, trm};
use trm_kernels::Kernels;

#[test]
fn all_gradients_are_right_on_every_instruction_set() {
    let all = ["gradcheck", "--json"];
    let report = said(0, trm().env_remove("TRM_ISA").args(all)).json();
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
    let refused = run(2, &["gradcheck", "--isa", "mmx"]);
    assert!(
        refused.err.contains("mmx") && refused.err.contains("portable"),
        "{}",
        refused.err
    );
    // The variable says which, as it does to every other verb; the option has the last word.
    let forced = |isa: &str, code, more: &[&str]| {
        said(code, trm().env("TRM_ISA", isa).arg("gradcheck").args(more))
    };
    let text = forced("portable", 0, &[]);
    assert_eq!(text.err.trim(), "checking portable");
    let err = forced("foo", 2, &[]).err;
    assert!(err.contains("foo"), "{err}");
    forced("foo", 0, &["--isa", "portable"]);
}
