//! A room's events on their way to whoever shows them. What they tell of guesses is on disk before it is shown; who proved that
//! it knows the code is remembered beside that, as it may take its time.

use std::time::Duration;

use patchcord_peer::{Event, Judgement, ProblemCode, Shown};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{identity::Trust, lookout::Lookout, sealed::guesses::Keeper};

/// One complaint is like the other.
const PROBLEMS_MAX: usize = 16;
/// Longer than another client is waited for.
const REMEMBERING_TIMEOUT: Duration = Duration::from_secs(5);

/// The events.
#[derive(Debug)]
pub struct Events {
    events: Lookout,
    keeper: Option<Keeper>,
    /// In a sealed room.
    trust: Option<Trust>,
    remembering: Remembering,
    problem_sender: mpsc::Sender<Event>,
    problems: mpsc::Receiver<Event>,
}

/// What is being written still.
#[derive(Clone, Debug, Default)]
pub struct Remembering(TaskTracker);

impl Remembering {
    /// Waits for it, but not for a disk that hangs.
    pub async fn settle(self) {
        self.0.close();
        if timeout(REMEMBERING_TIMEOUT, self.0.wait()).await.is_err() {
            tracing::warn!("who proved the code is not written down yet");
        }
    }
}

impl Events {
    /// Without a keeper nothing is kept, and without `trust` nobody is remembered.
    pub fn new(events: Lookout, keeper: Option<Keeper>, trust: Option<Trust>) -> Self {
        let (problem_sender, problems) = mpsc::channel(PROBLEMS_MAX);
        Self { events, keeper, trust, remembering: Remembering::default(), problem_sender, problems }
    }

    /// To be waited for before the program ends.
    pub fn remembering(&self) -> Remembering {
        self.remembering.clone()
    }

    /// The next one; `None` when no more come. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(problem) = self.problems.recv() => Some(problem),
            event = self.events.recv() => {
                self.note(event.as_ref());
                event
            }
        }
    }

    /// One that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.problems.try_recv().ok().or_else(|| self.events.try_recv().ok());
        self.note(event.as_ref());
        event
    }

    fn note(&mut self, event: Option<&Event>) {
        if let (Some(Event::GuessesUsed { used }), Some(keeper)) = (event, &mut self.keeper) {
            keeper.keep(*used);
        }
        if let (Some(Event::Identity { shown, judgement: Judgement::New }), Some(trust)) =
            (event, &self.trust)
        {
            let (trust, shown, problems) = (trust.clone(), shown.clone(), self.problem_sender.clone());
            self.remembering.0.spawn_blocking(move || remember(&trust, &shown, &problems));
        }
    }
}

fn remember(trust: &Trust, shown: &Shown, problems: &mpsc::Sender<Event>) {
    let Err(reason) = trust.knew_the_code(shown) else { return };
    let problem = Event::Problem {
        code: ProblemCode::NotRemembered,
        peer_id: Some(shown.peer_id.clone()),
        message: format!("it cannot be remembered: {reason}"),
    };
    // Nobody listens any more, or has heard enough of it.
    let _ = problems.try_send(problem);
}

#[cfg(test)]
mod tests {
    use patchcord_peer::{Identity, PeerId, Untrusted};

    use super::*;
    use crate::identity::Profile;

    fn bo() -> Shown {
        Shown {
            peer_id: PeerId::parse("p").unwrap(),
            display_name: Untrusted::new("bo"),
            key: Some(Identity::generate().unwrap().key()),
            certificate: [1; 32],
        }
    }

    fn profile(folder: &tempfile::TempDir) -> Profile {
        let home = folder.path().as_os_str().to_owned();
        Profile::of_user("default", |name| (name == "XDG_DATA_HOME").then(|| home.clone())).unwrap()
    }

    /// Of a sealed room, and what it tells.
    fn events(profile: &Profile) -> (mpsc::Sender<Event>, Events) {
        let trust = Trust::new(profile.known_peers(), Vec::new(), None).sealed();
        let (sender, receiver) = mpsc::channel(8);
        let lookout = Lookout::new(receiver, patchcord_peer::Config::new("", "", ""));
        (sender, Events::new(lookout, None, Some(trust)))
    }

    #[tokio::test]
    async fn who_proves_the_code_is_remembered_while_the_chat_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder);
        let (sender, mut events) = events(&profile);
        let other_client = profile.lock().unwrap();
        let shown = bo();
        let key = shown.key.unwrap();
        sender.try_send(Event::Identity { shown, judgement: Judgement::New }).unwrap();
        sender.try_send(Event::GuessesUsed { used: 1 }).unwrap();
        assert!(matches!(events.recv().await, Some(Event::Identity { .. })));
        assert!(matches!(events.recv().await, Some(Event::GuessesUsed { used: 1 })));
        assert!(profile.known_peers().read().unwrap().is_empty(), "the other client is at work");
        drop(other_client);
        events.remembering().settle().await;
        assert!(events.try_recv().is_none(), "nothing went wrong");
        assert_eq!(profile.known_peers().read().unwrap()[0].key, key);
    }

    #[tokio::test]
    async fn who_cannot_be_remembered_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile(&folder);
        std::fs::create_dir_all(profile.known_peers().path()).unwrap();
        let (sender, mut events) = events(&profile);
        sender.try_send(Event::Identity { shown: bo(), judgement: Judgement::New }).unwrap();
        assert!(matches!(events.recv().await, Some(Event::Identity { .. })));
        let told = events.recv().await;
        assert!(matches!(told, Some(Event::Problem { code: ProblemCode::NotRemembered, .. })), "{told:?}");
    }
}
