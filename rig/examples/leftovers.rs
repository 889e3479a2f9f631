//! Ends a test run: removes rigs whose makers were killed, and fails when anything is left.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let swept = weft_rig::teardown::sweep().map_err(|error| vec![weft_rig::chain(&error)]);
    let left = swept.and_then(|swept| {
        for tag in swept {
            println!("removed {tag}, whose process was killed");
        }
        weft_rig::leftovers::of_dead_tests().map_err(|error| vec![weft_rig::chain(&error)])
    });
    match left {
        Ok(left) if left.is_empty() => {
            weft_rig::teardown::tidy();
            ExitCode::SUCCESS
        }
        Ok(lines) | Err(lines) => {
            eprintln!("tests left behind:\n{}", lines.join("\n"));
            ExitCode::FAILURE
        }
    }
}
