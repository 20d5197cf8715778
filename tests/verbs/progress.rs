//! What is said of work under way, on a terminal of any kind.

use super::train::Place;

/// What a bar cannot be drawn on still gets the news.
#[test]
#[cfg(target_os = "linux")]
fn a_terminal_without_a_cursor_gets_plain_lines() {
    let place = Place::new();
    let train = format!(
        "{} train {} --out {}",
        env!("CARGO_BIN_EXE_trm"),
        place.text("small.toml"),
        place.text("run")
    );
    let mut script = std::process::Command::new("script");
    script
        .args(["-qec", &train, "/dev/null"])
        .env("TERM", "dumb");
    let said = script.stdin(std::process::Stdio::null()).output();
    let said = said.expect("script, of util-linux").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("step 9: exact"), "{said}");
}
