//! How many wrong words each code has met on this machine, kept over runs: otherwise whoever guesses would wait for the
//! next one. One line for each locator, oldest first; words of codes are never in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

/// Wrong words after which a code is used up, as [`GuessesUsed`](patchcord_peer::Event::GuessesUsed) says.
pub const GUESSES_MAX: u32 = 16;
/// Codes that are kept; the oldest goes first.
const LOCATORS_MAX: usize = 1000;
/// Of the whole file: what is longer is not ours.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Waits of 2 ms for another client that writes; it takes less than one of them.
const LOCK_ATTEMPTS: usize = 50;

/// The file.
#[derive(Clone, Debug)]
pub struct GuessFile {
    path: PathBuf,
}

impl GuessFile {
    /// That of this user: under XDG_STATE_HOME, or `~/.local/state`. `variable` reads the environment.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn of_user(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> io::Result<Self> {
        // "All paths set in these environment variables must be absolute" (XDG Base Directory Specification).
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let state = state.ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME is set"))?;
        Ok(Self { path: state.join("patchcord/guesses") })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many wrong words the code of `locator` has met.
    ///
    /// # Errors
    /// When the file cannot be read, or its folder not be made.
    pub fn used(&self, locator: &str) -> io::Result<u32> {
        let _lock = self.lock()?;
        let kept = self.read()?;
        Ok(kept.iter().find(|(kept, _)| kept == locator).map_or(0, |(_, used)| *used))
    }

    /// Adds `more` to it; clients at work with one code at the same time each add their own.
    ///
    /// # Errors
    /// When it cannot be written; then it is as before.
    pub fn add(&self, locator: &str, more: i64) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut kept = self.read()?;
        let at = kept.iter().position(|(kept, _)| kept == locator);
        let used = at.map_or(0, |at| kept.remove(at).1);
        let used = u32::try_from((i64::from(used) + more).max(0)).unwrap_or(u32::MAX);
        if used > 0 {
            kept.push((locator.to_owned(), used));
        }
        let surplus = kept.len().saturating_sub(LOCATORS_MAX);
        let text: String = kept[surplus..].iter().map(|(kept, used)| format!("{kept} {used}\n")).collect();
        let fresh = self.path.with_extension(format!("new-{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
        fs::rename(&fresh, &self.path)
    }

    /// What is not a line of ours is dropped: a damaged file is no reason not to chat.
    fn read(&self) -> io::Result<Vec<(String, u32)>> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let line = |line: &str| {
            let (locator, used) = line.split_once(' ')?;
            Some((locator.to_owned(), used.parse().ok()?))
        };
        Ok(String::from_utf8_lossy(&text).lines().filter_map(line).collect())
    }

    /// Held until dropped. When another client does not let go of it, one of two counts may be lost, and no chat is.
    fn lock(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let path = self.path.with_extension("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        for _ in 0..LOCK_ATTEMPTS {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(2)),
                _ => break,
            }
        }
        Ok(lock)
    }
}

/// What keeps the guesses of one code.
#[derive(Debug)]
pub struct Keeper {
    file: GuessFile,
    locator: String,
    /// As the room last said.
    used: u32,
}

impl Keeper {
    /// Of the code of `locator`, of which `used` guesses are in the file.
    pub fn new(file: GuessFile, locator: &str, used: u32) -> Self {
        Self { file, locator: locator.to_owned(), used }
    }

    /// So many the room has counted by now.
    pub fn keep(&mut self, used: u32) {
        let more = i64::from(used) - i64::from(std::mem::replace(&mut self.used, used));
        if let Err(reason) = self.file.add(&self.locator, more) {
            tracing::warn!(%reason, path = %self.file.path.display(), "wrong guesses cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(folder: &tempfile::TempDir) -> GuessFile {
        let home = folder.path().as_os_str().to_owned();
        GuessFile::of_user(|name| (name == "XDG_STATE_HOME").then(|| home.clone())).unwrap()
    }

    #[test]
    fn what_a_room_tells_is_there_in_the_next_run_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(file(&folder), "7k3m9xqd", 0);
        for used in [1, 0, 1, 2] {
            keeper.keep(used);
        }
        assert_eq!(file(&folder).used("7k3m9xqd").unwrap(), 2);
        assert_eq!(file(&folder).used("00000000").unwrap(), 0);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = file(&folder).path().to_owned();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_to_string(path).unwrap(), "7k3m9xqd 2\n");
    }

    #[test]
    fn two_clients_with_one_code_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Keeper::new(file(&folder), "7k3m9xqd", 0);
        let mut other = Keeper::new(file(&folder), "7k3m9xqd", 0);
        one.keep(3);
        other.keep(2);
        one.keep(2);
        assert_eq!(file(&folder).used("7k3m9xqd").unwrap(), 4);
    }

    #[test]
    fn of_more_than_a_thousand_codes_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let lines: String = (0..LOCATORS_MAX).map(|number| format!("{number:08} 1\n")).collect();
        file.add("00000000", 1).unwrap();
        fs::write(file.path(), lines).unwrap();
        file.add("00000000", 1).unwrap();
        file.add("aaaaaaaa", 1).unwrap();
        assert_eq!(file.used("00000000").unwrap(), 2, "it was used again, and is not the oldest");
        assert_eq!(file.used("00000001").unwrap(), 0);
        assert_eq!(file.used("00000002").unwrap(), 1);
        assert_eq!(fs::read_to_string(file.path()).unwrap().lines().count(), LOCATORS_MAX);
    }

    #[test]
    fn a_damaged_file_loses_its_damaged_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        file.add("aaaaaaaa", 5).unwrap();
        fs::write(file.path(), b"aaaaaaaa 5\n\xff\xfe\nbbbbbbbb x\n\ncccccccc 7").unwrap();
        assert_eq!(file.used("aaaaaaaa").unwrap(), 5);
        assert_eq!(file.used("cccccccc").unwrap(), 7);
    }

    #[test]
    fn the_state_folder_is_the_one_that_the_desktop_standard_names() {
        let of = |variables: &'static [(&str, &str)]| {
            let file = GuessFile::of_user(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            });
            file.map(|file| file.path)
        };
        assert_eq!(of(&[("HOME", "/h")]).unwrap(), Path::new("/h/.local/state/patchcord/guesses"));
        let both = of(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]);
        assert_eq!(both.unwrap(), Path::new("/s/patchcord/guesses"));
        let relative = of(&[("HOME", "/h"), ("XDG_STATE_HOME", "s")]);
        assert_eq!(relative.unwrap(), Path::new("/h/.local/state/patchcord/guesses"));
        assert!(of(&[]).is_err());
    }
}
