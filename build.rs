//! Compiles the contract in `proto/` with protox, so that no protoc has to be installed, and keeps the
//! file descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTO_FILES: [&str; 4] = [
    "patchcord/v1/signaling.proto",
    "patchcord/v1/rooms.proto",
    "patchcord/v1/chat.proto",
    "patchcord/v1/sealed.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/patchcord");
    let descriptors = protox::compile(PROTO_FILES, ["proto"])?;
    let descriptor_path = PathBuf::from(env::var("OUT_DIR")?).join("patchcord.v1.bin");
    fs::write(descriptor_path, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
