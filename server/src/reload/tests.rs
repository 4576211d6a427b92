//! A thing with a file, read again when it is asked for or has changed, and never when not.

use std::os::unix::fs::PermissionsExt;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};

use super::*;

/// The text of a file; an empty one is refused.
struct Text {
    path: PathBuf,
    told: mpsc::UnboundedSender<Result<String, ()>>,
    in_force: Mutex<String>,
    reminded: mpsc::UnboundedSender<Instant>,
}

impl Reload for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn reload(&self) -> Result<String, ConfigError> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        if text.is_empty() {
            let _ = self.told.send(Err(()));
            return Err(ConfigError::TurnSecretEmpty { path: self.path.clone() });
        }
        self.in_force.lock().clone_from(&text);
        let _ = self.told.send(Ok(text.clone()));
        Ok(text)
    }

    fn remind(&self) {
        let _ = self.reminded.send(Instant::now());
    }
}

struct Running {
    folder: tempfile::TempDir,
    text: Arc<Text>,
    told: UnboundedReceiverStream<Result<String, ()>>,
    reminders: UnboundedReceiverStream<Instant>,
    requests: mpsc::Sender<()>,
    metrics: Arc<Metrics>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "one").unwrap();
        let (told, hears) = mpsc::unbounded_channel();
        let in_force = Mutex::new("one".to_owned());
        let (reminded, reminders) = mpsc::unbounded_channel();
        let text = Arc::new(Text { path, told, in_force, reminded });
        let mut reloads = Reloads::default();
        reloads.add(Arc::clone(&text) as Arc<dyn Reload>);
        let (requests, asked) = mpsc::channel(1);
        let metrics = Arc::<Metrics>::default();
        let task = tokio::spawn(reloads.run(ReceiverStream::new(asked), Arc::clone(&metrics)));
        let told = UnboundedReceiverStream::new(hears);
        let reminders = UnboundedReceiverStream::new(reminders);
        Self { folder, text, told, reminders, requests, metrics, task }
    }

    fn write(&self, text: &str) {
        fs::write(&self.text.path, text).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_noticed_without_being_asked_for() {
    let mut running = Running::start();
    running.write("second");
    assert_eq!(running.told.next().await, Some(Ok("second".to_owned())));
    // As certbot and Kubernetes do: the name leads elsewhere, to a file as long and as old.
    let other = running.folder.path().join("other");
    fs::copy(&running.text.path, &other).unwrap();
    fs::write(&other, "third!").unwrap();
    let modified_at = fs::metadata(&running.text.path).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(modified_at).unwrap();
    let link = running.folder.path().join("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    fs::rename(&link, &running.text.path).unwrap();
    assert_eq!(running.told.next().await, Some(Ok("third!".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_read_only_when_asked_for() {
    let mut running = Running::start();
    tokio::time::sleep(RELOAD_POLL_INTERVAL * 20).await;
    running.requests.send(()).await.unwrap();
    assert_eq!(running.told.next().await, Some(Ok("one".to_owned())));
    // Nobody can ask any more; looking goes on.
    drop(std::mem::replace(&mut running.requests, mpsc::channel(1).0));
    running.write("second");
    assert_eq!(running.told.next().await, Some(Ok("second".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_old_stays_and_it_is_tried_again_and_told_once() {
    let mut running = Running::start();
    running.write("");
    for _ in 0..5 {
        assert_eq!(running.told.next().await, Some(Err(())));
    }
    assert_eq!(*running.text.in_force.lock(), "one");
    running.write("second");
    while running.told.next().await != Some(Ok("second".to_owned())) {}
    running.requests.send(()).await.unwrap();
    assert_eq!(running.told.next().await, Some(Ok("second".to_owned())));
    running.task.abort();
    let text = running.metrics.encode();
    assert!(text.contains("patchcord_reloads_total{what=\"text\",outcome=\"failed\"} 1"), "{text}");
    assert!(text.contains("patchcord_reloads_total{what=\"text\",outcome=\"done\"}"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_may_read_it_now_is_a_change_and_an_operator_is_reminded_once_a_day() {
    let mut running = Running::start();
    fs::set_permissions(&running.text.path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(running.told.next().await, Some(Ok("one".to_owned())));
    let first = running.reminders.next().await.unwrap();
    assert_eq!(running.reminders.next().await.unwrap() - first, REMINDER_INTERVAL);
}

#[tokio::test]
async fn with_nothing_to_read_and_nobody_to_ask_it_ends() {
    Reloads::default().run(tokio_stream::empty(), Arc::default()).await;
}
