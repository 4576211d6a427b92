//! What was taken back before its time, until it has expired anyway. Bounded; with a file it outlives the server:
//! a line of JSON each, appended and on the disk before anybody is told that it is in force.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::{
    claims::{ID_BYTES_MAX, LEEWAY},
    grant::Grant,
    jwk::is_key_id,
};
use crate::name::is_printable;

/// What is remembered at most.
pub const REVOKED_MAX: usize = 65_536;
/// Bytes of the file: of so many lines with ids of full length, of which the file may have twice as many.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lines that are no longer needed, at least, before the file is written anew.
const COMPACT_LINES_MIN: usize = 1_024;

/// What to take back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One token, by its `jti`.
    TokenId(String),
    /// All tokens of one `sub` that were issued by now.
    Subject(String),
    /// All tokens that one key signed by now: its `kid`.
    KeyId(String),
}

impl Target {
    /// Whether it can be in a token at all.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::TokenId(id) | Self::Subject(id) => {
                (1..=ID_BYTES_MAX).contains(&id.len()) && is_printable(id)
            }
            Self::KeyId(id) => is_key_id(id),
        }
    }
}

/// Something that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When, in seconds since 1970.
    pub revoked_at: u64,
    /// Whether a restart remembers it.
    pub survives_restart: bool,
}

/// Why nothing could be taken back, or not for good.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no room for more.
    #[error(
        "{REVOKED_MAX} tokens are revoked, which is all that are remembered: take the key that signed them out of the \
         file of keys"
    )]
    Full,
    /// It is in force, and a restart forgets it.
    #[error("it is revoked, but not beyond a restart: the file of revoked tokens cannot be written: {0}")]
    NotWritten(io::Error),
}

/// Why what was taken back earlier is not known.
#[derive(Debug, thiserror::Error)]
pub enum RevokedFileError {
    /// The file cannot be read or made.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It holds something else.
    #[error("line {0} is no {{\"token_id\":...,\"revoked_at\":...}}, nor one of \"subject\" or \"key_id\"")]
    Line(usize),
    /// It holds too much.
    #[error("it names more than {REVOKED_MAX} tokens that have not expired")]
    TooMany,
}

#[derive(Deserialize, Serialize)]
struct Line {
    #[serde(flatten)]
    target: Target,
    revoked_at: u64,
}

type Table = HashMap<Target, u64>;

/// All that was taken back and could still be good.
pub struct Revoked {
    remembered: Duration,
    revoked_at: RwLock<Table>,
    /// Held for as long as the disk takes; who only asks what is revoked does not wait for that.
    journal: Mutex<Journal>,
}

struct Journal {
    path: Option<PathBuf>,
    lines: usize,
    /// A line is missing, or was written in part.
    is_torn: bool,
}

impl Revoked {
    /// What the file says, which is made if it is not there; nothing without one.
    pub fn open(path: Option<&Path>, remembered: Duration, now: u64) -> Result<Self, RevokedFileError> {
        // What cannot be written to is better found out now.
        path.map(appending).transpose()?;
        let journal = Journal { path: path.map(PathBuf::from), lines: 0, is_torn: false };
        let revoked = Self { remembered, revoked_at: RwLock::default(), journal: Mutex::new(journal) };
        revoked.read_again(now)?;
        let mut journal = revoked.journal.lock();
        if journal.lines > revoked.count() || journal.is_torn {
            journal.rewrite(&revoked.revoked_at.read().clone())?;
        }
        drop(journal);
        Ok(revoked)
    }

    /// Where it is kept.
    pub fn path(&self) -> Option<PathBuf> {
        self.journal.lock().path.clone()
    }

    /// How much is remembered.
    pub fn count(&self) -> usize {
        self.revoked_at.read().len()
    }

    /// Whether what was granted is among it.
    pub fn covers(&self, grant: &Grant) -> bool {
        let revoked_at = self.revoked_at.read();
        if revoked_at.is_empty() {
            return false;
        }
        let when = |target: Target| revoked_at.get(&target).copied();
        let of_token = (!grant.token_id.is_empty()).then(|| Target::TokenId(grant.token_id.to_string()));
        let of_subject = (!grant.subject.is_empty()).then(|| Target::Subject(grant.subject.to_string()));
        let of_key = Target::KeyId(grant.key_id.to_string());
        let until_now = |at: u64| grant.issued_at <= at.saturating_add(LEEWAY.as_secs());
        of_token.and_then(when).is_some()
            || of_subject.and_then(when).is_some_and(until_now)
            || when(of_key).is_some_and(until_now)
    }

    /// Takes back from now on. May block.
    ///
    /// # Errors
    /// When there is no room for it. It is in force after [`RevokeError::NotWritten`].
    pub fn revoke(&self, target: Target, now: u64) -> Result<Revocation, RevokeError> {
        let mut journal = self.journal.lock();
        self.remember(target.clone(), now)?;
        self.write_down(&mut journal, target, now).map_err(RevokeError::NotWritten)?;
        Ok(Revocation { revoked_at: now, survives_restart: journal.path.is_some() })
    }

    fn remember(&self, target: Target, now: u64) -> Result<(), RevokeError> {
        let mut revoked_at = self.revoked_at.write();
        if revoked_at.len() >= REVOKED_MAX && !revoked_at.contains_key(&target) {
            forget(&mut revoked_at, self.remembered, now);
            if revoked_at.len() >= REVOKED_MAX {
                return Err(RevokeError::Full);
            }
        }
        revoked_at.insert(target, now);
        Ok(())
    }

    fn write_down(&self, journal: &mut Journal, target: Target, now: u64) -> io::Result<()> {
        if !journal.needs_rewrite(self.count())? {
            return journal.append(target, now);
        }
        // What others have added since it was last read is in the file alone.
        let read = match journal.read() {
            Err(RevokedFileError::Io(error)) if error.kind() == ErrorKind::NotFound => Table::new(),
            read => read.map_err(io::Error::other)?,
        };
        self.merge(read, now).map_err(io::Error::other)?;
        let remembered = self.revoked_at.read().clone();
        journal.rewrite(&remembered)
    }

    /// Adds what the file says beside what is known; how much of that is new, or was taken back again. May block.
    pub fn read_again(&self, now: u64) -> Result<usize, RevokedFileError> {
        let read = self.journal.lock().read()?;
        self.merge(read, now)
    }

    fn merge(&self, mut read: Table, now: u64) -> Result<usize, RevokedFileError> {
        forget(&mut read, self.remembered, now);
        let mut revoked_at = self.revoked_at.write();
        forget(&mut revoked_at, self.remembered, now);
        read.retain(|target, at| revoked_at.get(target).is_none_or(|known| known < at));
        let added = read.keys().filter(|target| !revoked_at.contains_key(target)).count();
        if revoked_at.len() + added > REVOKED_MAX {
            return Err(RevokedFileError::TooMany);
        }
        let new = read.len();
        revoked_at.extend(read);
        Ok(new)
    }
}

fn forget(revoked_at: &mut Table, remembered: Duration, now: u64) {
    revoked_at.retain(|_, at| now.saturating_sub(*at) <= remembered.as_secs());
}

impl Journal {
    fn needs_rewrite(&self, known: usize) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        Ok(self.is_torn || self.lines >= 2 * known + COMPACT_LINES_MIN || !ends_whole(path)?)
    }

    fn read(&mut self) -> Result<Table, RevokedFileError> {
        let (mut read, mut count, mut line) = (Table::new(), 0, Vec::new());
        let Some(path) = &self.path else { return Ok(read) };
        let mut file = BufReader::new(File::open(path)?.take(FILE_BYTES_MAX));
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            count += 1;
            // Whatever is added behind it would become part of it.
            self.is_torn |= !line.ends_with(b"\n");
            match serde_json::from_slice::<Line>(&line) {
                _ if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Line { target, revoked_at }) if target.is_valid() => {
                    let newest = read.entry(target).or_insert(revoked_at);
                    *newest = revoked_at.max(*newest);
                }
                // The end of the file, where a crash cut it: nobody was told that this is in force.
                Err(_) if !line.ends_with(b"\n") => {}
                _ => return Err(RevokedFileError::Line(count)),
            }
        }
        if file.get_ref().limit() == 0 {
            return Err(RevokedFileError::TooMany);
        }
        self.lines = count;
        Ok(read)
    }

    fn append(&mut self, target: Target, revoked_at: u64) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        self.is_torn = true;
        let mut file = appending(path)?;
        file.write_all(&encode(&Line { target, revoked_at }))?;
        file.sync_all()?;
        self.is_torn = false;
        self.lines += 1;
        Ok(())
    }

    /// Puts a file with what is remembered in place of the old one.
    fn rewrite(&mut self, remembered: &Table) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        name.push(".new");
        let beside = path.with_file_name(name);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        let line = |(target, at): (&Target, &u64)| encode(&Line { target: target.clone(), revoked_at: *at });
        file.write_all(&remembered.iter().flat_map(line).collect::<Vec<u8>>())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // That the name leads to it now has to be on the disk too.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        self.lines = remembered.len();
        self.is_torn = false;
        Ok(())
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Whether its last line has its end.
fn ends_whole(path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

fn encode(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("strings and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests;
