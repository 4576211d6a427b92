//! The keys of operators. The server keeps their hashes alone; any number up to a bound is good at one time, so that a key
//! can be replaced without a moment when nobody gets in.

use std::{fmt, path::Path, path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    config::{KeySources, Secret},
    error::{ConfigError, Flag},
    random,
    reload::Reload,
};

/// Tells what it is to whoever finds one, and to programs that look for leaked ones.
const PREFIX: &str = "pcadm_";
const KEYS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 64;
/// Those that we make have 49.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_NAME: &str = "admin-token";
const TOKEN_RULE: &str = "a key has 16 characters at least, all of them visible ASCII";

type Hash = [u8; 32];

/// A new key, shown once.
pub struct AdminKey {
    name: String,
    key: Secret,
}

/// What is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes and underscores")]
pub struct InvalidName;

impl AdminKey {
    /// With 256 random bits.
    ///
    /// # Errors
    /// When the name is none.
    pub fn random(name: &str) -> Result<Self, InvalidName> {
        if !is_name(name) {
            return Err(InvalidName);
        }
        let mut bits = [0; 32];
        random::fill(&mut bits);
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits));
        Ok(Self { name: name.to_owned(), key: key.into() })
    }

    /// What its holder sends.
    pub fn reveal(&self) -> &str {
        self.key.reveal()
    }
}

/// The line of the server's file.
impl fmt::Display for AdminKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} sha256:", self.name)?;
        hash(self.reveal()).iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

struct Known {
    name: Arc<str>,
    hash: Hash,
}

/// What was read.
struct Table {
    /// Of the file of keys: [`AdminKey`] made them.
    made: Vec<Known>,
    /// One that somebody thought up.
    thought_up: Vec<Known>,
}

/// All that are good.
pub struct AdminKeys {
    sources: KeySources,
    known: RwLock<Arc<Table>>,
}

impl AdminKeys {
    /// As their sources say.
    ///
    /// # Errors
    /// What is wrong with those.
    pub fn new(sources: KeySources) -> Result<Self, ConfigError> {
        let known = RwLock::new(Arc::new(read(&sources)?));
        Ok(Self { sources, known })
    }

    /// Logs what an operator should know about where they come from. The file of keys has hashes alone.
    pub fn warn(&self) {
        if let Some(path) = &self.sources.token_file {
            Flag::new("--admin-token-file", path).warn_if_readable_by_all();
        }
    }

    /// The name of a key with so many random bits that guessing is hopeless, if it is good.
    pub fn find_made(&self, key: &str) -> Option<Arc<str>> {
        find(&self.known.read().made, key)
    }

    /// The name of a key that may be short enough to be guessed, if it is good.
    pub fn find_thought_up(&self, key: &str) -> Option<Arc<str>> {
        find(&self.known.read().thought_up, key)
    }
}

/// How long that takes tells nothing of any key.
fn find(known: &[Known], key: &str) -> Option<Arc<str>> {
    let hash = hash(key);
    known.iter().fold(None, |found, known| match bool::from(known.hash.ct_eq(&hash)) {
        true => Some(Arc::clone(&known.name)),
        false => found,
    })
}

impl Reload for AdminKeys {
    fn name(&self) -> &'static str {
        "admin_keys"
    }

    fn files(&self) -> Vec<PathBuf> {
        self.sources.keys_file.iter().chain(&self.sources.token_file).cloned().collect()
    }

    fn reload(&self) -> Result<String, ConfigError> {
        let known = read(&self.sources)?;
        self.warn();
        let names: Vec<_> = known.made.iter().chain(&known.thought_up).map(|known| &*known.name).collect();
        let now = format!("keys of {}", names.join(", "));
        *self.known.write() = Arc::new(known);
        Ok(now)
    }
}

fn read(sources: &KeySources) -> Result<Table, ConfigError> {
    let (mut made, mut thought_up) = (Vec::new(), Vec::new());
    if let Some(path) = &sources.keys_file {
        let flag = Flag::new("--admin-keys-file", path);
        let text = flag.read_text()?;
        made = parse(&text).map_err(|reason| flag.unusable(reason))?;
    }
    if let Some(token) = &sources.token {
        let place = Path::new("its value");
        thought_up.push(
            token_key(token.reveal()).map_err(|rule| Flag::new("--admin-token", place).unusable(rule))?,
        );
    }
    if let Some(path) = &sources.token_file {
        let flag = Flag::new("--admin-token-file", path);
        thought_up.push(token_key(flag.read_text()?.trim()).map_err(|rule| flag.unusable(rule))?);
    }
    Ok(Table { made, thought_up })
}

/// Lines of `NAME sha256:HEX`; empty ones and those that begin with # are skipped. No line is repeated in an error: it may
/// be a key that somebody put there by mistake.
fn parse(text: &str) -> Result<Vec<Known>, String> {
    let mut known: Vec<Known> = Vec::new();
    for (number, line) in (1..).zip(text.lines()).map(|(number, line)| (number, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = parse_line(line).ok_or_else(|| {
            format!(
                "line {number} is not NAME sha256:HEX; `patchcord-server admin-key --name NAME` makes one"
            )
        })?;
        if known.iter().any(|known| known.hash == key.hash) {
            return Err(format!("line {number} has a key that another line has"));
        }
        if known.len() == KEYS_MAX {
            return Err(format!("there are more than {KEYS_MAX} keys"));
        }
        known.push(key);
    }
    // Half written, or emptied by mistake: then what was read before is better.
    if known.is_empty() { Err("there is no key in it".to_owned()) } else { Ok(known) }
}

fn parse_line(line: &str) -> Option<Known> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let hex = rest.trim().strip_prefix("sha256:")?.as_bytes();
    if !is_name(name) || hex.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Known { name: name.into(), hash })
}

fn token_key(token: &str) -> Result<Known, &'static str> {
    match token.len() >= TOKEN_BYTES_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Known { name: TOKEN_NAME.into(), hash: hash(token) }),
        false => Err(TOKEN_RULE),
    }
}

fn is_name(name: &str) -> bool {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(permitted)
}

fn hash(key: &str) -> Hash {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_in(text: &str) -> (tempfile::TempDir, Result<AdminKeys, ConfigError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        let keys = AdminKeys::new(KeySources { keys_file: Some(path), token: None, token_file: None });
        (folder, keys)
    }

    #[test]
    fn old_and_new_are_good_together_until_the_old_is_taken_out() {
        let (old, new) = (AdminKey::random("ops").unwrap(), AdminKey::random("ops-2").unwrap());
        let (folder, keys) = keys_in(&format!("# of operators\n{old}\n\n {new} \n"));
        let keys = keys.unwrap();
        assert_eq!(keys.find_made(old.reveal()).as_deref(), Some("ops"));
        assert_eq!(keys.find_made(new.reveal()).as_deref(), Some("ops-2"));
        for wrong in ["", "pcadm_", &old.to_string(), &old.reveal()[..48], &format!("{}x", old.reveal())] {
            assert_eq!(keys.find_made(wrong), None, "{wrong}");
        }
        std::fs::write(folder.path().join("keys"), format!("{new}\n")).unwrap();
        assert_eq!(keys.reload().unwrap(), "keys of ops-2");
        assert_eq!(keys.find_made(old.reveal()), None);
        for bad in ["", "# none\n", "ops", &format!("{new}\nrest"), &format!("{new}\n{new}")] {
            std::fs::write(folder.path().join("keys"), bad).unwrap();
            keys.reload().unwrap_err();
            assert_eq!(keys.find_made(new.reveal()).as_deref(), Some("ops-2"), "{bad:?} took the key away");
        }
    }

    #[test]
    fn a_key_is_long_random_and_kept_as_its_hash() {
        let (one, other) = (AdminKey::random("a").unwrap(), AdminKey::random("a").unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!((one.reveal().len(), &one.reveal()[..6]), (49, "pcadm_"));
        assert!(!one.to_string().contains(&one.reveal()[6..]));
        for name in ["", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert_eq!(AdminKey::random(name).err(), Some(InvalidName), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_told_by_its_line_and_repeats_nothing_of_it() {
        let key = AdminKey::random("ops").unwrap();
        for (text, told) in [
            ("".to_owned(), "no key in it"),
            (format!("{key}\nops {}\n", key.reveal()), "line 2"),
            (key.reveal().to_owned(), "line 1"),
            (format!("ops sha256:{}", "g".repeat(64)), "line 1"),
            (format!("ops sha256:{}", "a".repeat(63)), "line 1"),
            (format!("o/s sha256:{}", "a".repeat(64)), "line 1"),
            (format!("{key}\n{key}"), "line 2 has a key that another line has"),
            ((0..=KEYS_MAX).map(|n| format!("n sha256:{n:064x}\n")).collect(), "more than 256"),
        ] {
            let error = keys_in(&text).1.err().unwrap().to_string();
            assert!(error.contains(told) && error.starts_with("--admin-keys-file: "), "{error}");
            assert!(!error.contains(key.reveal()), "{error}");
        }
    }

    #[test]
    fn a_key_that_can_be_guessed_or_not_be_sent_is_refused() {
        let keys = |token: &str| {
            let token = Some(token.to_owned().into());
            AdminKeys::new(KeySources { keys_file: None, token, token_file: None })
        };
        for bad in ["short", "fifteen-letters", "sixteen letters!", "sixteen-lettersä"] {
            let error = keys(bad).err().unwrap().to_string();
            assert!(error.contains("16 characters at least") && !error.contains(bad), "{error}");
        }
        assert_eq!(
            keys("sixteen-letters!").unwrap().find_thought_up("sixteen-letters!").as_deref(),
            Some("admin-token")
        );
    }
}
