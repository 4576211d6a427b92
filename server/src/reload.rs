//! What is read again while the server runs: on SIGHUP, and by itself when its files change. Each thing either
//! changes as a whole or goes on as it was; nothing that is open is touched.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, interval_at},
};
use tokio_stream::{Stream, StreamExt};

use crate::{
    config::RELOAD_POLL_INTERVAL,
    error::ConfigError,
    metrics::{Metrics, ReloadOutcome},
};

const REMINDER_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that is read from files and can be read again.
pub trait Reload: Send + Sync + 'static {
    /// For the log and for metrics.
    fn name(&self) -> &'static str;

    /// What it is read from.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads it again and says what is in force now. After an error that is what was before. May block.
    fn reload(&self) -> Result<String, ConfigError>;

    /// Says once a day what an operator should know of what is in force.
    fn remind(&self) {}
}

/// All of a server.
#[derive(Default)]
pub struct Reloads {
    entries: Vec<Entry>,
}

struct Entry {
    thing: Arc<dyn Reload>,
    /// Of each file, as it was before it was last read.
    stamps: Vec<Option<Stamp>>,
    /// Why it could not be read the last time: it is tried at each look, and told when that changes.
    failure: Option<String>,
}

/// What changes when a file is written, or when the link to it is led elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: u64,
    bytes: u64,
    modified_at: Option<SystemTime>,
    /// Of who may read it too.
    changed_at: (i64, i64),
}

impl Stamp {
    /// `None` when there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let (file, changed_at) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (file, changed_at) = (0, (0, 0));
        Some(Self { file, bytes: metadata.len(), modified_at: metadata.modified().ok(), changed_at })
    }

    fn of_all(files: &[PathBuf]) -> Vec<Option<Self>> {
        files.iter().map(|path| Self::of(path)).collect()
    }
}

impl Reloads {
    /// One more, as it was just read.
    pub fn add(&mut self, thing: Arc<dyn Reload>) {
        let stamps = Stamp::of_all(&thing.files());
        self.entries.push(Entry { thing, stamps, failure: None });
    }

    /// Reads everything again at each request, and at each look what has changed or could not be read, until dropped.
    pub async fn run(mut self, requests: impl Stream<Item = ()>, metrics: Arc<Metrics>) {
        let mut requests = pin!(requests);
        let mut looks = interval(RELOAD_POLL_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reminders = interval_at(Instant::now() + REMINDER_INTERVAL, REMINDER_INTERVAL);
        let mut can_be_asked = true;
        loop {
            let asked = tokio::select! {
                request = requests.next(), if can_be_asked => {
                    can_be_asked = request.is_some();
                    can_be_asked
                }
                _ = looks.tick(), if !self.entries.is_empty() => false,
                _ = reminders.tick(), if !self.entries.is_empty() => {
                    self.entries.iter().for_each(|entry| entry.thing.remind());
                    continue;
                }
                else => return,
            };
            if asked && self.entries.is_empty() {
                tracing::info!("nothing to reload");
            }
            let metrics = Arc::clone(&metrics);
            // Files may be on a disk that takes its time.
            let looked = spawn_blocking(move || {
                self.entries.iter_mut().for_each(|entry| entry.look(asked, &metrics));
                self
            });
            match looked.await {
                Ok(reloads) => self = reloads,
                Err(error) => return tracing::error!(%error, "nothing is reloaded any more"),
            }
        }
    }
}

impl Entry {
    fn look(&mut self, asked: bool, metrics: &Metrics) {
        // Before it is read: what is written meanwhile makes another stamp.
        let stamps = Stamp::of_all(&self.thing.files());
        let has_changed = stamps != self.stamps;
        if !asked && !has_changed && self.failure.is_none() {
            return;
        }
        self.stamps = stamps;
        let what = self.thing.name();
        let outcome = match self.thing.reload() {
            Ok(now) => {
                self.failure = None;
                tracing::info!(what, now, "reloaded");
                ReloadOutcome::Done
            }
            Err(error) => {
                let failure = Some(error.to_string());
                if !asked && !has_changed && failure == self.failure {
                    return;
                }
                self.failure = failure;
                tracing::error!(what, %error, "not reloaded: what was in force before still is");
                ReloadOutcome::Failed
            }
        };
        metrics.count_reload(what, outcome);
    }
}

#[cfg(test)]
mod tests;
