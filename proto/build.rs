//! Compiles every `proto/weft/v1/*.proto` without `protoc`, into one Rust module and one descriptor set.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

const ROOT: &str = "proto";
const PACKAGE: &str = "proto/weft/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut files = Vec::new();
    for entry in fs::read_dir(PACKAGE)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    // Directory order differs between machines; the generated code must not.
    files.sort();

    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(files)?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let descriptors: PathBuf = Path::new(&out).join("weft.v1.fds");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        // Log entries are shared between the log, its writer and every follower's stream.
        .bytes(".weft.v1.RaftEntry.command")
        .bytes(".weft.v1.RaftSnapshotPart.chunk")
        // Their data is in no log: `src/redacted.rs` says how they are shown.
        .skip_debug([
            ".weft.v1.MaterialVersion",
            ".weft.v1.MaterialRecord",
            ".weft.v1.CreateMaterialRequest",
            ".weft.v1.UpdateMaterialRequest",
        ])
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
