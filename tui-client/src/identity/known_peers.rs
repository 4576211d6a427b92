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

/// Peers that are remembered; one more is refused, as none is less worth keeping than another.
pub const PEERS_MAX: usize = 1000;
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
    /// The operating system said so.
    #[error("{0}; make it yours, or set XDG_DATA_HOME to a folder of yours")]
    Io(#[from] io::Error),
    /// It is not ours.
    #[error("it is longer than {FILE_BYTES_MAX} bytes or not text: move it away")]
    Foreign,
    /// Nothing more fits.
    #[error("{PEERS_MAX} peers are remembered already: \"patchcord identity forget NAME\" makes room")]
    Full,
    /// There is no file.
    #[error("this run has no profile")]
    NoProfile,
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
    /// Gives who is in the file then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, peer: &KnownPeer, replaces: bool) -> Result<Vec<KnownPeer>, KnownPeersError> {
        let likeness = Likeness::of(&peer.name);
        let outdated = |known: &KnownPeer| {
            known.key == peer.key || (replaces && Likeness::of(&known.name).is_like(&likeness))
        };
        self.change(outdated, Some(peer))
    }

    /// Takes out whom `unwanted` names. Gives who is in the file then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget(&self, unwanted: impl Fn(&KnownPeer) -> bool) -> Result<Vec<KnownPeer>, KnownPeersError> {
        self.change(unwanted, None)
    }

    fn change(
        &self,
        outdated: impl Fn(&KnownPeer) -> bool,
        more: Option<&KnownPeer>,
    ) -> Result<Vec<KnownPeer>, KnownPeersError> {
        let _lock = self.profile.lock()?;
        let mut lines = self.lines()?;
        lines.retain(|line| !parse(line).is_some_and(|known| outdated(&known)));
        lines.extend(more.map(KnownPeer::to_string));
        let known: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        if more.is_some() && (known.len() > PEERS_MAX || text.len() as u64 > FILE_BYTES_MAX) {
            return Err(KnownPeersError::Full);
        }
        self.profile.replace(&self.path(), text.as_bytes())?;
        Ok(known)
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
