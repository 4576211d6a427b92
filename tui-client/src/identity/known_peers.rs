//! The peers whose identity was verified, in a file of one line each: `KEY HOW TIME NAME`, with HOW `compared` or `code`,
//! TIME by RFC 3339, NAME to the end of the line. Other lines are left as they are.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use jiff::Timestamp;
use patchcord_peer::IdentityKey;

use super::{Profile, likeness::Likeness};
use crate::safe_text::SafeText;

/// Peers that are remembered. One more takes the place of the oldest that knew a code only; without one it is refused, as
/// none that was compared is less worth keeping than another.
pub const PEERS_MAX: usize = 1000;
/// Of them those that knew a code only: whoever is told a code can come under any number of keys. One more is refused, so
/// that they cannot drive others out.
pub const CODE_PEERS_MAX: usize = 500;
/// Of the whole file: what is longer is not ours.
pub const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Names are at most 64 bytes, and marks in place of what cannot be seen make them longer.
const NAME_CHARS_MAX: usize = 1024;

/// How somebody was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The user compared the short string.
    Compared,
    /// It knew the code of a sealed room. So does everybody who was told it: the name is its own word.
    Code,
}

impl How {
    /// In the file and in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compared => "compared",
            Self::Code => "code",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Compared => "compared",
            Self::Code => "by a code",
        }
    }
}

/// A peer that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its key.
    pub key: IdentityKey,
    /// How it was verified.
    pub how: How,
    /// When.
    pub at: Timestamp,
    /// As it was called then.
    pub name: SafeText,
}

impl KnownPeer {
    /// The day, for people.
    pub fn day(&self) -> String {
        self.at.strftime("%Y-%m-%d").to_string()
    }

    /// What became of its key when another took its place, for people.
    pub fn forgotten_words(&self) -> String {
        format!("the key that was known as {} before, {}, is forgotten", self.name, self.key.short())
    }
}

impl fmt::Display for KnownPeer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {:.0} {}", self.key, self.how.as_str(), self.at, self.name)
    }
}

fn parse(line: &str) -> Option<KnownPeer> {
    let mut fields = line.splitn(4, ' ');
    let key = fields.next()?.parse().ok()?;
    let how = match fields.next()? {
        "compared" => How::Compared,
        "code" => How::Code,
        _ => return None,
    };
    let at = fields.next()?.parse().ok()?;
    // Whoever writes the file by hand is not trusted with the terminal either.
    let name = SafeText::line(&fields.next()?.chars().take(NAME_CHARS_MAX).collect::<String>());
    Some(KnownPeer { key, how, at, name })
}

/// Why the file could not be used; it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum KnownPeersError {
    /// The operating system does not let this user.
    #[error("{0}; make it yours, or set XDG_DATA_HOME to a folder of yours")]
    NotOurs(io::Error),
    /// Another client writes, and does not end.
    #[error("another client of this profile does not let go of it: end it, or try again")]
    Locked,
    /// The operating system said so.
    #[error("{0}")]
    Io(io::Error),
    /// It is not ours.
    #[error("it is longer than {FILE_BYTES_MAX} bytes or not text: move it away")]
    Foreign,
    /// Nothing more fits.
    #[error("{PEERS_MAX} peers are remembered already: \"patchcord identity forget NAME\" makes room")]
    Full,
    /// No more fit of those that knew a code.
    #[error(
        "{CODE_PEERS_MAX} peers that knew a code are remembered already: \"patchcord identity forget NAME\" makes room"
    )]
    FullOfCodes,
    /// There is no file.
    #[error("this run has no profile")]
    NoProfile,
}

impl From<io::Error> for KnownPeersError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, WouldBlock};
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => Self::NotOurs(error),
            WouldBlock => Self::Locked,
            _ => Self::Io(error),
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct KnownPeersFile {
    profile: Profile,
}

impl KnownPeersFile {
    pub(super) fn new(profile: Profile) -> Self {
        Self { profile }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.profile.folder.join("known_peers")
    }

    /// Who is in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Vec<KnownPeer>, KnownPeersError> {
        Ok(self.lines()?.iter().filter_map(|line| parse(line)).collect())
    }

    /// Adds a peer, in place of what was kept of its key; with `replaces` in place of everybody with a name like its own too.
    /// One that knew a code takes nobody's place: what is kept of its key stays. Gives who is in the file then, and whose
    /// keys are not any more.
    ///
    /// # Errors
    /// When it cannot be written, or no more fit.
    pub fn remember(
        &self,
        peer: &KnownPeer,
        replaces: bool,
    ) -> Result<(Vec<KnownPeer>, Vec<KnownPeer>), KnownPeersError> {
        let _lock = self.profile.lock()?;
        let mut lines = self.lines()?;
        let known = || lines.iter().filter_map(|line| parse(line));
        // What the caller knows may be older than the file.
        if peer.how == How::Code && known().any(|known| known.key == peer.key) {
            return Ok((known().collect(), Vec::new()));
        }
        if peer.how == How::Code && known().filter(|known| known.how == How::Code).count() >= CODE_PEERS_MAX {
            return Err(KnownPeersError::FullOfCodes);
        }
        let likeness = Likeness::of(&peer.name);
        let is_like = |known: &KnownPeer| replaces && Likeness::of(&known.name).is_like(&likeness);
        let forgotten = known().filter(|known| known.key != peer.key && is_like(known)).collect();
        lines.retain(|line| !parse(line).is_some_and(|known| known.key == peer.key || is_like(&known)));
        lines.push(peer.to_string());
        if peer.how == How::Compared {
            make_room(&mut lines);
        }
        if !fits(&lines) {
            return Err(KnownPeersError::Full);
        }
        Ok((self.write(&lines)?, forgotten))
    }

    /// Takes out whom `unwanted` names. Gives who is in the file then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget(&self, unwanted: impl Fn(&KnownPeer) -> bool) -> Result<Vec<KnownPeer>, KnownPeersError> {
        let _lock = self.profile.lock()?;
        let mut lines = self.lines()?;
        lines.retain(|line| !parse(line).is_some_and(|known| unwanted(&known)));
        self.write(&lines)
    }

    /// To be called with the lock held.
    fn write(&self, lines: &[String]) -> Result<Vec<KnownPeer>, KnownPeersError> {
        self.profile.replace(&self.path(), text(lines).as_bytes())?;
        Ok(lines.iter().filter_map(|line| parse(line)).collect())
    }

    fn lines(&self) -> Result<Vec<String>, KnownPeersError> {
        let mut bytes = Vec::new();
        match File::open(self.path()) {
            Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(KnownPeersError::Foreign);
        }
        let text = String::from_utf8(bytes).map_err(|_| KnownPeersError::Foreign)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn fits(lines: &[String]) -> bool {
    let known = lines.iter().filter(|line| parse(line).is_some()).count();
    known <= PEERS_MAX && text(lines).len() as u64 <= FILE_BYTES_MAX
}

/// Takes out those that knew a code only, the oldest first, as far as it is needed.
fn make_room(lines: &mut Vec<String>) {
    while !fits(lines) {
        let codes = lines.iter().enumerate().filter_map(|(at, line)| Some((at, parse(line)?)));
        let oldest = codes.filter(|(_, known)| known.how == How::Code).min_by_key(|(_, known)| known.at);
        let Some((at, _)) = oldest else { return };
        lines.remove(at);
    }
}
