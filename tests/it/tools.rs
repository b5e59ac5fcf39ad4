//! The programs that tests need and the machine may not have: obtained by the project's own scripts.

use std::path::Path;
use std::process::Command;

/// What a tool script prints: the path of what it obtained.
#[track_caller]
pub fn path(script: &str) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
