//! The keys that tokens are signed with: a JWK Set (RFC 7517) of symmetric keys for HS256 (RFC 7518 section 6.4)
//! and Ed25519 keys for EdDSA (RFC 8037). A key has one algorithm, whatever a token says.

use std::{fmt, fs::File, io, io::Read, path::Path};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};

/// Bytes of a file of keys.
pub const KEY_SET_BYTES_MAX: u64 = 256 * 1024;
/// Keys of a file.
pub const KEYS_MAX: usize = 64;
/// Bytes of a key's id.
pub const KEY_ID_BYTES_MAX: usize = 128;
/// RFC 7518 section 3.2: a key must be at least as long as the hash.
const HMAC_BYTES_MIN: usize = 32;
const HMAC_BYTES_MAX: usize = 256;
const ED25519_BYTES: usize = 32;

const OCT: &str = "oct";
const OKP: &str = "OKP";
const ED25519_CURVE: &str = "Ed25519";

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can check a token can make one.
    Hs256,
    /// Ed25519: the public half checks, the private one signs.
    EdDsa,
}

impl Algorithm {
    /// As it stands in keys and in the headers of tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether a header's `alg` names it; RFC 9864 has a second name for EdDSA with this curve.
    pub fn has_name(self, name: &str) -> bool {
        name == self.as_str() || (self == Self::EdDsa && name == ED25519_CURVE)
    }
}

/// What is in a file of keys.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

/// A key with its id. `Debug` does not show it.
#[derive(Clone)]
pub struct Jwk {
    id: String,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Symmetric(Vec<u8>),
    Public([u8; ED25519_BYTES]),
    Pair { public: [u8; ED25519_BYTES], seed: [u8; ED25519_BYTES] },
}

/// Why a set of keys is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or not of this shape.
    #[error("it is no JWK Set, {{\"keys\":[...]}}: {0}")]
    NotASet(String),
    /// Nothing in it.
    #[error("it holds no key")]
    Empty,
    /// Too much in it.
    #[error("it holds {0} keys; at most {KEYS_MAX} are taken")]
    TooMany(usize),
    /// Two keys with one id.
    #[error("two of its keys have the kid {0:?}; each needs one of its own")]
    SameId(String),
    /// One of them cannot be used.
    #[error("its key {name} {reason}")]
    Unfit {
        /// The key's id, or its place.
        name: String,
        /// What is wrong with it.
        reason: KeyUnfit,
    },
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// What is in it is no set of keys.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// It is no file of keys at all.
    #[error("it has more than {KEY_SET_BYTES_MAX} bytes, which is more than keys need")]
    TooLarge,
}

/// Why a key cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUnfit {
    /// No id that tokens could name.
    #[error("has no kid of 1 to {KEY_ID_BYTES_MAX} visible ASCII characters")]
    Id,
    /// Not a kind of key that we take, or none that fits its algorithm.
    #[error(
        "is neither \"kty\":\"oct\" with \"alg\":\"HS256\" nor \"kty\":\"OKP\", \"crv\":\"Ed25519\" with \"alg\":\"EdDSA\""
    )]
    Kind,
    /// For something else.
    #[error("is not for signatures (\"use\":\"sig\")")]
    Use,
    /// A short one can be guessed.
    #[error("needs {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX} bytes in base64url without padding in \"k\"")]
    Symmetric,
    /// Not a point, or not its own.
    #[error(
        "needs the {ED25519_BYTES} bytes of an Ed25519 key in base64url without padding in \"x\" (and \"d\", if private)"
    )]
    Ed25519,
}

/// As it stands in the file. What a duplicate would mean nobody knows, so serde refuses one.
#[derive(Default, Deserialize, Serialize)]
struct RawJwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    alg: String,
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct RawSet {
    keys: Vec<RawJwk>,
}

impl KeySet {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// What is wrong with it, without its name.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let mut text = String::new();
        File::open(path)?.take(KEY_SET_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > KEY_SET_BYTES_MAX {
            return Err(KeyFileError::TooLarge);
        }
        Ok(Self::parse(&text)?)
    }

    /// Reads what is in a file of keys.
    ///
    /// # Errors
    /// The first thing that is wrong; nothing of a key is in it but its id.
    pub fn parse(text: &str) -> Result<Self, KeySetError> {
        let raw: RawSet = serde_json::from_str(text).map_err(|error| {
            // The error may quote a value, and a value may be a key.
            KeySetError::NotASet(format!("line {}, column {}", error.line(), error.column()))
        })?;
        let (count, mut set) = (raw.keys.len(), Self { keys: Vec::new() });
        if count > KEYS_MAX {
            return Err(KeySetError::TooMany(count));
        }
        for (index, raw) in raw.keys.into_iter().enumerate() {
            let name = if is_key_id(&raw.kid) { format!("{:?}", raw.kid) } else { (index + 1).to_string() };
            let key = Jwk::try_from(raw).map_err(|reason| KeySetError::Unfit { name, reason })?;
            set.add(key)?;
        }
        if set.keys.is_empty() { Err(KeySetError::Empty) } else { Ok(set) }
    }

    /// A set of one.
    pub fn of(key: Jwk) -> Self {
        Self { keys: vec![key] }
    }

    /// Takes one more key.
    ///
    /// # Errors
    /// When there is one of this id, or there are as many as there may be.
    pub fn add(&mut self, key: Jwk) -> Result<(), KeySetError> {
        if self.get(&key.id).is_some() {
            return Err(KeySetError::SameId(key.id));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeySetError::TooMany(self.keys.len() + 1));
        }
        self.keys.push(key);
        Ok(())
    }

    /// The key with this id.
    pub fn get(&self, id: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// All keys, in their order.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// As it stands in a file: what is secret too.
    pub fn reveal(&self) -> String {
        let set = RawSet { keys: self.keys.iter().map(RawJwk::from).collect() };
        let mut text = serde_json::to_string_pretty(&set).expect("a map of strings is JSON");
        text.push('\n');
        text
    }
}

impl Jwk {
    /// A new key of random bits.
    ///
    /// # Errors
    /// When the id is not one.
    pub fn random(id: &str, algorithm: Algorithm) -> Result<Self, KeyUnfit> {
        if !is_key_id(id) {
            return Err(KeyUnfit::Id);
        }
        let mut seed = [0; ED25519_BYTES];
        crate::random::fill(&mut seed);
        let material = match algorithm {
            Algorithm::Hs256 => Material::Symmetric(seed.to_vec()),
            Algorithm::EdDsa => Material::Pair { public: public_half(&seed)?, seed },
        };
        Ok(Self { id: id.to_owned(), material })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Symmetric(_) => Algorithm::Hs256,
            Material::Public(_) | Material::Pair { .. } => Algorithm::EdDsa,
        }
    }

    /// What a server needs of it, if that is less.
    pub fn public(&self) -> Self {
        let material = match &self.material {
            Material::Pair { public, .. } => Material::Public(*public),
            other => other.clone(),
        };
        Self { id: self.id.clone(), material }
    }

    /// Whether it holds what a server does not need.
    pub fn is_private(&self) -> bool {
        matches!(self.material, Material::Pair { .. })
    }

    /// Whether whoever reads it can sign.
    pub fn is_secret(&self) -> bool {
        !matches!(self.material, Material::Public(_))
    }

    /// Signs; `None` with the public half alone.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.material {
            Material::Symmetric(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                Some(hmac::sign(&key, message).as_ref().to_vec())
            }
            Material::Pair { public, seed } => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
                Some(pair.sign(message).as_ref().to_vec())
            }
            Material::Public(_) => None,
        }
    }

    /// Whether a signature is this key's, in a time that does not depend on where it differs.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Symmetric(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature).is_ok()
            }
            Material::Public(public) | Material::Pair { public, .. } => {
                UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
            }
        }
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Jwk").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TryFrom<RawJwk> for Jwk {
    type Error = KeyUnfit;

    fn try_from(raw: RawJwk) -> Result<Self, KeyUnfit> {
        if !is_key_id(&raw.kid) {
            return Err(KeyUnfit::Id);
        }
        if raw.purpose.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyUnfit::Use);
        }
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            (OCT, _) if Algorithm::Hs256.has_name(&raw.alg) => {
                let secret = raw.k.and_then(|k| bytes(&k)).ok_or(KeyUnfit::Symmetric)?;
                if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&secret.len()) {
                    return Err(KeyUnfit::Symmetric);
                }
                Material::Symmetric(secret)
            }
            (OKP, Some(ED25519_CURVE)) if Algorithm::EdDsa.has_name(&raw.alg) => {
                let public = raw.x.and_then(|x| array(&x)).ok_or(KeyUnfit::Ed25519)?;
                match raw.d {
                    None => Material::Public(public),
                    Some(d) => {
                        let seed = array(&d).ok_or(KeyUnfit::Ed25519)?;
                        if public_half(&seed)? != public {
                            return Err(KeyUnfit::Ed25519);
                        }
                        Material::Pair { public, seed }
                    }
                }
            }
            _ => return Err(KeyUnfit::Kind),
        };
        Ok(Self { id: raw.kid, material })
    }
}

impl From<&Jwk> for RawJwk {
    fn from(key: &Jwk) -> Self {
        let text = |bytes: &[u8]| Some(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let mut raw = Self {
            kid: key.id.clone(),
            alg: key.algorithm().as_str().to_owned(),
            purpose: Some("sig".to_owned()),
            ..Self::default()
        };
        match &key.material {
            Material::Symmetric(secret) => (raw.kty, raw.k) = (OCT.to_owned(), text(secret)),
            Material::Public(public) | Material::Pair { public, .. } => {
                (raw.kty, raw.crv, raw.x) = (OKP.to_owned(), Some(ED25519_CURVE.to_owned()), text(public));
            }
        }
        if let Material::Pair { seed, .. } = &key.material {
            raw.d = text(seed);
        }
        raw
    }
}

/// Whether tokens can name a key so: nothing that would look odd in a log or an error.
pub fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn public_half(seed: &[u8; ED25519_BYTES]) -> Result<[u8; ED25519_BYTES], KeyUnfit> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyUnfit::Ed25519)?;
    pair.public_key().as_ref().try_into().map_err(|_| KeyUnfit::Ed25519)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

fn array(text: &str) -> Option<[u8; ED25519_BYTES]> {
    bytes(text)?.try_into().ok()
}

#[cfg(test)]
mod tests;
