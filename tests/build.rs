//! Builds the library that is loaded before libfaketime: see `native/faketime_guard.c`.

use std::path::PathBuf;

const SOURCE: &str = "native/faketime_guard.c";

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    let library =
        PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("faketime_guard.so");
    let mut compiler = cc::Build::new().get_compiler().to_command();
    // Not as built-ins: the compiler would leave out the allocation that nobody uses.
    compiler.args(["-fno-builtin", "-shared", "-fPIC", "-o"]).arg(&library).arg(SOURCE);
    let status = compiler.status().expect("the C compiler starts");
    assert!(status.success(), "the C compiler could not build {SOURCE}: {status}");
    println!("cargo:rustc-env=ROUNDTABLE_FAKETIME_GUARD={}", library.display());
}
