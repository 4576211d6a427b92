//! Who signs tokens that a server takes.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use patchcord_server::{
    Config,
    tokens::{Algorithm, Claims, Jwk, KeySet, Permission, RoomPattern},
};

pub const ALL: &[Permission] = &[Permission::Join, Permission::Create, Permission::Send, Permission::Turn];

pub struct Issuer {
    pub key: Jwk,
    pub keys_file: PathBuf,
    pub folder: tempfile::TempDir,
}

impl Issuer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Self {
            key: Jwk::random("north", Algorithm::EdDsa).unwrap(),
            keys_file: folder.path().join("keys"),
            folder,
        };
        issuer.publish(&[&issuer.key]);
        issuer
    }

    /// Writes what the server knows.
    pub fn publish(&self, keys: &[&Jwk]) {
        let mut set = KeySet::of(keys[0].public());
        keys[1..].iter().for_each(|key| set.add(key.public()).unwrap());
        let beside = self.folder.path().join("keys.new");
        std::fs::write(&beside, set.reveal()).unwrap();
        std::fs::rename(beside, &self.keys_file).unwrap();
    }

    pub fn config(&self) -> Config {
        Config { token_keys_file: Some(self.keys_file.clone()), grace_time_s: 1, ..Config::default() }
    }

    pub fn claims(&self, subject: &str, permissions: &[Permission]) -> Claims {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Claims {
            audience: "patchcord".to_owned(),
            subject: subject.to_owned(),
            token_id: format!("of-{subject}"),
            issued_at: now,
            expires_at: now + 600,
            room: RoomPattern::Name("lobby".to_owned()),
            permissions: permissions.iter().copied().collect(),
        }
    }

    pub fn token(&self, subject: &str, permissions: &[Permission]) -> String {
        self.claims(subject, permissions).sign(&self.key).unwrap()
    }
}
