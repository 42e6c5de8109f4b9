//! Runs exactly so many operations through the core and says nothing: to be counted by callgrind.

use std::process::ExitCode;

use roundtable_benches::path::{Kind, Path};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let kind = match arguments.next().as_deref() {
        Some("put") => Some(Kind::Put),
        Some("get") => Some(Kind::Get),
        _ => None,
    };
    let operations = arguments.next().and_then(|number| number.parse().ok());
    let (Some(kind), Some(operations)) = (kind, operations) else { return ExitCode::from(2) };
    Path::new().run(kind, operations);
    ExitCode::SUCCESS
}
