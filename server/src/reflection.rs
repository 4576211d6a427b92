//! gRPC server reflection. Each door describes only the files of what it serves, so that the public door
//! does not even tell that there is a RoomService.

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::RoutesBuilder;
use tonic_reflection::server::Builder;

use crate::error::ServeError;

/// What the public door describes.
pub const PUBLIC_FILES: &[&str] = &["patchcord/v1/signaling.proto"];
/// What the admin door describes; the second is what the first refers to.
pub const ADMIN_FILES: &[&str] = &["patchcord/v1/rooms.proto", "patchcord/v1/signaling.proto"];

/// A request names one symbol or file; tonic's own limit is 4 MiB, held for as long as a message is unfinished.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Adds reflection, v1 and v1alpha, of these files, of health and of itself, listing these services.
pub fn add_services(routes: &mut RoutesBuilder, files: &[&str], services: &[&str]) -> Result<(), ServeError> {
    let failed = |error: &dyn std::error::Error| ServeError::Reflection(error.to_string());
    let described = describe(files).map_err(|error| failed(&error))?;
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(&described)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    };
    let v1 = builder().build_v1().map_err(|error| failed(&error))?;
    routes.add_service(v1.max_decoding_message_size(REQUEST_BYTES_MAX));
    let v1alpha = builder().build_v1alpha().map_err(|error| failed(&error))?;
    routes.add_service(v1alpha.max_decoding_message_size(REQUEST_BYTES_MAX));
    Ok(())
}

fn describe(files: &[&str]) -> Result<Vec<u8>, prost::DecodeError> {
    let mut descriptors = FileDescriptorSet::decode(patchcord_proto::FILE_DESCRIPTOR_SET)?;
    descriptors.file.retain(|file| !file.name().starts_with("patchcord/") || files.contains(&file.name()));
    Ok(descriptors.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_describe_their_own_files() {
        let names = |files| -> Vec<String> {
            let set = FileDescriptorSet::decode(describe(files).unwrap().as_slice()).unwrap();
            set.file.into_iter().filter_map(|file| file.name).collect()
        };
        assert!(!names(PUBLIC_FILES).iter().any(|name| name.contains("rooms") || name.contains("chat")));
        for files in [PUBLIC_FILES, ADMIN_FILES] {
            for file in files {
                assert!(names(files).iter().any(|name| name == file), "{file}");
            }
        }
    }
}
