//! Who is in the room, under which name each can be shown and addressed.

use std::time::Duration;

use patchcord_peer::{ConnectionState, Path, Peer, PeerId, ShortString, Shown};

use super::interruption::Interruption;
use crate::{identity::KnownPeer, safe_text::SafeText};

/// What is known of who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: the server could stand in between.
    Unverified,
    /// It knows the code, or the user has compared the strings, or its key was remembered.
    Verified,
    /// It is called like one that was verified, and is not that one as far as is known.
    Changed,
}

impl Verification {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Changed => "changed!",
        }
    }
}

/// A peer of the room.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: PeerId,
    /// As it calls itself; not unique.
    pub name: SafeText,
    /// Whether the server has its signaling stream.
    pub attached: bool,
    /// Of the connection with it.
    pub state: ConnectionState,
    /// What the connection runs over, once known.
    pub path: Option<Path>,
    /// Whether the chat channel is open.
    pub channel_open: bool,
    /// What both sides can compare.
    pub string: Option<ShortString>,
    /// Whether it is the one that it should be.
    pub verification: Verification,
    /// On its channel.
    pub shown: Option<Shown>,
    /// Whom its key was remembered as.
    pub known: Option<KnownPeer>,
    /// Nothing of it is shown and nothing sent to it until the user has decided.
    pub held: bool,
    /// The user does not want it: it is disconnected, and what is for everybody is not for it.
    pub refused: bool,
    /// Shown as writing until then.
    pub typing_until: Option<Duration>,
    /// Of the chat with it.
    pub interruption: Interruption,
}

/// The peers, in the order of joining, without us.
#[derive(Debug)]
pub struct Roster {
    me: PeerId,
    my_name: SafeText,
    members: Vec<Member>,
}

/// Why a typed name is no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nobody is called so.
    #[error("nobody here is called {0}: /who lists who is")]
    Nobody(SafeText),
    /// Several are.
    #[error("{name} is more than one peer: write {}", handles.join(" or "))]
    Several {
        /// As typed.
        name: SafeText,
        /// What to write instead.
        handles: Vec<String>,
    },
    /// No name was typed.
    #[error("write the name of a peer")]
    Blank,
}

impl Roster {
    /// A room in which we are alone.
    pub fn new(me: PeerId, my_name: SafeText) -> Self {
        Self { me, my_name, members: Vec::new() }
    }

    /// Our own name.
    pub fn my_name(&self) -> &SafeText {
        &self.my_name
    }

    /// Our own id.
    pub fn me(&self) -> &PeerId {
        &self.me
    }

    /// The server knows us by another id.
    pub fn set_me(&mut self, me: PeerId) {
        self.me = me;
    }

    /// Changes our own name.
    pub fn set_my_name(&mut self, name: SafeText) {
        self.my_name = name;
    }

    /// The peers, in the order of joining.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The peer of that id.
    pub fn get(&self, id: &PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// The peer of that id.
    pub fn get_mut(&mut self, id: &PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }

    /// The peers, to change them.
    pub fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut()
    }

    /// Takes a peer in, or what is new about one.
    pub fn insert(&mut self, peer: &Peer) {
        let name = SafeText::name(&peer.display_name);
        match self.get_mut(&peer.id) {
            Some(member) => (member.name, member.attached) = (name, peer.attached),
            None => self.members.push(Member {
                id: peer.id.clone(),
                name,
                attached: peer.attached,
                state: ConnectionState::New,
                path: None,
                channel_open: false,
                string: None,
                verification: Verification::Unverified,
                shown: None,
                known: None,
                held: false,
                refused: false,
                typing_until: None,
                interruption: Interruption::default(),
            }),
        }
    }

    /// Takes a peer out.
    pub fn remove(&mut self, id: &PeerId) -> Option<Member> {
        let index = self.members.iter().position(|member| member.id == *id)?;
        Some(self.members.remove(index))
    }

    /// How a peer is shown and addressed: its name, with `#` and the beginning of its id where the name
    /// alone could be somebody else's.
    pub fn handle(&self, id: &PeerId) -> SafeText {
        let name = match self.get(id) {
            Some(member) => &member.name,
            None if *id == self.me => &self.my_name,
            None => return SafeText::line(&format!("#{}", id.short())),
        };
        let everybody = self.members.iter().map(|member| (&member.id, &member.name));
        let namesakes: Vec<&PeerId> = everybody
            .chain([(&self.me, &self.my_name)])
            .filter(|(other, other_name)| *other != id && *other_name == name)
            .map(|(other, _)| other)
            .collect();
        let blank = name.as_str().is_empty();
        // A name with a `#` in it could be made to look like somebody else's handle.
        if namesakes.is_empty() && !blank && !name.as_str().contains('#') {
            return name.clone();
        }
        let whole = id.as_str();
        let unique = (id.short().len()..=whole.len())
            .find(|length| namesakes.iter().all(|other| !other.as_str().starts_with(&whole[..*length])));
        SafeText::line(&format!("{name}#{}", &whole[..unique.unwrap_or(whole.len())]))
    }

    /// The peer that `typed` names: a handle, a name in any case, `name#` or `#` and the beginning of an id,
    /// or an id from its beginning.
    ///
    /// # Errors
    /// When that is nobody, or more than one.
    pub fn resolve(&self, typed: &str) -> Result<PeerId, ResolveError> {
        let typed = typed.trim();
        if typed.is_empty() {
            return Err(ResolveError::Blank);
        }
        let folded = SafeText::line(typed).as_str().to_lowercase();
        let exactly = |member: &&Member| self.handle(&member.id) == SafeText::line(typed);
        let by_name = |member: &&Member| member.name.as_str().to_lowercase() == folded;
        let by_id = |member: &&Member| member.answers_to(&folded);
        let found = [
            self.members.iter().filter(exactly).collect::<Vec<_>>(),
            self.members.iter().filter(by_name).collect(),
            self.members.iter().filter(by_id).collect(),
        ];
        match found.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
            None | Some([]) => Err(ResolveError::Nobody(SafeText::line(typed))),
            Some([member]) => Ok(member.id.clone()),
            Some(several) => Err(ResolveError::Several {
                name: SafeText::line(typed),
                handles: several.iter().map(|member| self.handle(&member.id).to_string()).collect(),
            }),
        }
    }

    /// Takes `PEER TEXT` apart, where the name may hold spaces or stand in quotes: the longest beginning
    /// that names a peer wins.
    ///
    /// # Errors
    /// As [`Roster::resolve`], for the first word.
    pub fn resolve_beginning<'a>(&self, typed: &'a str) -> Result<(PeerId, &'a str), ResolveError> {
        if let Some((name, text)) = typed.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            return Ok((self.resolve(name)?, text.trim_start()));
        }
        let spaces = typed.match_indices(char::is_whitespace).map(|(at, _)| at).take(SPACES_IN_NAME_MAX);
        let cuts: Vec<usize> = spaces.collect();
        let longest = cuts.iter().rev().find_map(|at| Some((self.resolve(&typed[..*at]).ok()?, *at)));
        match (longest, cuts.first()) {
            (Some((id, at)), _) => Ok((id, typed[at..].trim_start())),
            (None, first) => self.resolve(&typed[..first.copied().unwrap_or(typed.len())]).map(|id| (id, "")),
        }
    }
}

/// A name has at most 64 bytes.
const SPACES_IN_NAME_MAX: usize = 64;

impl Member {
    /// Whether `folded` is `name#`, `#` or nothing, and then the beginning of the id.
    fn answers_to(&self, folded: &str) -> bool {
        let (name, id) = folded.rsplit_once('#').unwrap_or(("", folded));
        let named = name.is_empty() || self.name.as_str().to_lowercase() == name;
        // Without a `#` a short word is more likely a misspelt name.
        let long_enough = id.len() >= if folded.contains('#') { 1 } else { 4 };
        named && long_enough && self.id.as_str().to_lowercase().starts_with(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use patchcord_peer::Untrusted;

    use super::*;

    fn id(text: &str) -> PeerId {
        PeerId::parse(text).unwrap()
    }

    fn roster(peers: &[(&str, &str)]) -> Roster {
        let mut roster = Roster::new(id("meme2222"), SafeText::line("ana"));
        for (peer_id, name) in peers {
            roster.insert(&Peer {
                id: id(peer_id),
                display_name: Untrusted::new(*name),
                joined_at: SystemTime::UNIX_EPOCH,
                attached: true,
            });
        }
        roster
    }

    #[test]
    fn namesakes_are_told_apart_by_the_beginning_of_their_ids() {
        let roster =
            roster(&[("bbbb1111", "bo"), ("bbbb2222", "bo"), ("cccc1111", "cy"), ("aaaa1111", "ana")]);
        assert_eq!(roster.handle(&id("bbbb1111")).as_str(), "bo#bbbb1");
        assert_eq!(roster.handle(&id("bbbb2222")).as_str(), "bo#bbbb2");
        assert_eq!(roster.handle(&id("cccc1111")).as_str(), "cy");
        assert_eq!(roster.handle(&id("aaaa1111")).as_str(), "ana#aaaa", "it has our own name");
        assert_eq!(roster.handle(&id("zzzz1111")).as_str(), "#zzzz", "somebody who is gone");
    }

    #[test]
    fn a_name_that_imitates_a_handle_gets_one_itself() {
        let roster = roster(&[("bbbb1111", "bo"), ("cccc1111", "bo"), ("dddd1111", "bo#bbbb")]);
        assert_eq!(roster.handle(&id("dddd1111")).as_str(), "bo#bbbb#dddd");
        assert_eq!(roster.resolve("bo#bbbb"), Ok(id("bbbb1111")));
    }

    #[test]
    fn a_peer_is_named_by_handle_name_or_id() {
        let roster = roster(&[("bbbb1111", "bo"), ("cccc1111", "bo"), ("dddd1111", "Dee Dee")]);
        assert_eq!(roster.resolve("bo#cc"), Ok(id("cccc1111")));
        assert_eq!(roster.resolve("#dd"), Ok(id("dddd1111")));
        assert_eq!(roster.resolve("cccc"), Ok(id("cccc1111")));
        assert_eq!(roster.resolve("dee dee"), Ok(id("dddd1111")));
        assert!(
            matches!(roster.resolve("bo"), Err(ResolveError::Several { handles, .. }) if handles.len() == 2)
        );
        assert!(matches!(roster.resolve("b"), Err(ResolveError::Nobody(_))));
        assert_eq!(roster.resolve(" "), Err(ResolveError::Blank));
    }

    #[test]
    fn the_longest_name_at_the_beginning_wins() {
        let roster = roster(&[("dddd1111", "Dee"), ("eeee1111", "Dee Dee")]);
        assert_eq!(roster.resolve_beginning("dee dee hi there"), Ok((id("eeee1111"), "hi there")));
        assert_eq!(roster.resolve_beginning("dee hi"), Ok((id("dddd1111"), "hi")));
        assert_eq!(roster.resolve_beginning("\"dee\" dee"), Ok((id("dddd1111"), "dee")));
        assert!(roster.resolve_beginning("bo hi").is_err());
    }

    #[test]
    fn an_update_keeps_what_is_known_of_the_connection() {
        let mut roster = roster(&[("bbbb1111", "bo")]);
        roster.get_mut(&id("bbbb1111")).unwrap().channel_open = true;
        roster.insert(&Peer {
            id: id("bbbb1111"),
            display_name: Untrusted::new("bob"),
            joined_at: SystemTime::UNIX_EPOCH,
            attached: false,
        });
        let member = roster.get(&id("bbbb1111")).unwrap();
        assert_eq!((member.name.as_str(), member.attached, member.channel_open), ("bob", false, true));
    }
}
