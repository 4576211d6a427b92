//! Profiles on disk, and what is made of peers.

use std::{fs, os::unix::fs::PermissionsExt, sync::Barrier};

use jiff::Timestamp;
use patchcord_peer::{IdentityKey, Judgement, PeerId, Shown, Untrusted};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    known_peers::{CODE_PEERS_MAX, FILE_BYTES_MAX, KnownPeersError, PEERS_MAX},
    *,
};
use crate::safe_text::SafeText;

fn profile(folder: &TempDir) -> Profile {
    let home = folder.path().as_os_str().to_owned();
    Profile::of_user("default", |name| (name == "XDG_DATA_HOME").then(|| home.clone())).unwrap()
}

fn key(number: u8) -> IdentityKey {
    Identity::from_seed(&[number; 32]).key()
}

fn known(number: u8, name: &str) -> KnownPeer {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    KnownPeer { key: key(number), how: How::Compared, at, name: SafeText::line(name) }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_identity_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(&folder);
    let made = profile.identity().unwrap().key();
    assert_eq!(profile.identity().unwrap().key(), made);
    let path = profile.key_path();
    assert_eq!(path, folder.path().join("patchcord/default/identity_key"));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(fs::read_to_string(&path).unwrap().starts_with("patchcord-identity-1 "));
}

#[test]
fn clients_that_start_at_the_same_instant_have_one_identity() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(8);
    let keys: Vec<_> = std::thread::scope(|scope| {
        let one = || {
            barrier.wait();
            profile(&folder).identity().unwrap().key()
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn a_key_that_cannot_be_used_is_never_replaced_and_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(&folder);
    profile.identity().unwrap();
    let path = profile.key_path();
    let whole = fs::read(&path).unwrap();
    for damaged in
        [&b""[..], b"-----BEGIN", &whole[..whole.len() - 2], b"\xff\xfe", &[&whole[..], b"x"].concat()]
    {
        fs::write(&path, damaged).unwrap();
        let error = profile.identity().unwrap_err().to_string();
        assert!(error.contains("is no identity key") && error.contains("--anonymous"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
    fs::write(&path, &whole).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = profile.identity().unwrap_err().to_string();
    assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
}

#[test]
fn names_of_profiles_stay_in_their_folder() {
    for good in ["default", "work-2", "a.b_c"] {
        assert_eq!(profile_name(good), Ok(good.into()));
    }
    for bad in ["", ".", "..", ".hidden", "a/b", "a b", "ä", &"x".repeat(65)] {
        assert!(profile_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn who_is_remembered_is_on_a_line_that_a_person_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    assert_eq!(file.read().unwrap(), []);
    file.remember(&known(1, "Bo the \u{1b}[31m great"), true).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert_eq!(text, format!("{} compared 2023-11-14T22:13:20Z Bo the ␛[31m great\n", key(1)));
    assert_eq!(file.read().unwrap(), [known(1, "Bo the \u{1b}[31m great")]);
    assert_eq!(mode(&file.path()), 0o600);
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_of_its_name_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    file.remember(&known(1, "bo"), true).unwrap();
    file.remember(&known(2, "ana"), true).unwrap();
    let (kept, forgotten) = file.remember(&known(3, "BO"), true).unwrap();
    assert_eq!((kept, forgotten), (vec![known(2, "ana"), known(3, "BO")], vec![known(1, "bo")]));
    assert_eq!(file.remember(&known(4, "bo"), false).unwrap().0.len(), 3);
    // Its own line is never there twice.
    let (kept, forgotten) = file.remember(&known(2, "anna"), false).unwrap();
    assert_eq!((kept.len(), forgotten), (3, Vec::new()));
    assert_eq!(file.forget(|peer| peer.key == key(2)).unwrap().len(), 2);
}

#[test]
fn lines_that_are_not_understood_stay_and_a_file_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    file.remember(&known(1, "bo"), true).unwrap();
    let strange = format!("# mine\n{} signed 2026-01-01T00:00:00Z later\n\nnonsense\n", key(9));
    let bo = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), format!("{strange}{bo}")).unwrap();
    file.remember(&known(2, "ana"), true).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.starts_with(&format!("{strange}{bo}")) && text.ends_with(" ana\n"), "{text}");
    assert_eq!(file.read().unwrap(), [known(1, "bo"), known(2, "ana")]);
    for foreign in [vec![b'x'; FILE_BYTES_MAX as usize + 1], b"\xff\xfe".to_vec()] {
        fs::write(file.path(), &foreign).unwrap();
        assert!(matches!(file.read(), Err(KnownPeersError::Foreign)));
        assert!(matches!(file.remember(&known(3, "cy"), true), Err(KnownPeersError::Foreign)));
        assert_eq!(fs::read(file.path()).unwrap(), foreign);
    }
}

#[test]
fn when_no_more_fit_that_is_said_and_nobody_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    file.remember(&known(1, "bo"), true).unwrap();
    let lines: String = (0..PEERS_MAX).map(|number| numbered(number, How::Compared)).collect();
    fs::write(file.path(), &lines).unwrap();
    let full = file.remember(&known(1, "bo"), true);
    assert!(matches!(full, Err(KnownPeersError::Full)));
    assert!(KnownPeersError::Full.to_string().contains("forget"));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), lines);
    assert_eq!(file.remember(&known(1, "peer 7"), true).unwrap().0.len(), PEERS_MAX, "in its place");
}

/// The line of a peer like no other, remembered that many seconds after the first.
fn numbered(number: usize, how: How) -> String {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    let key = IdentityKey::from_bytes(seed);
    let at = Timestamp::from_second(number as i64).unwrap();
    format!("{}\n", KnownPeer { key, how, at, name: SafeText::line(&format!("peer {number}")) })
}

#[test]
fn those_that_knew_a_code_neither_fill_the_file_nor_stay_where_one_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    let by_code = |number| KnownPeer { how: How::Code, ..known(number, "somebody") };
    file.remember(&by_code(1), false).unwrap();
    // The youngest first: it is not the place that makes one the oldest.
    let codes: String = (1..CODE_PEERS_MAX).rev().map(|number| numbered(number, How::Code)).collect();
    let compared = PEERS_MAX - CODE_PEERS_MAX;
    let compared: String = (0..compared).map(|number| numbered(10_000 + number, How::Compared)).collect();
    let before = fs::read_to_string(file.path()).unwrap() + &codes + &compared;
    fs::write(file.path(), &before).unwrap();
    assert!(matches!(file.remember(&by_code(2), false), Err(KnownPeersError::FullOfCodes)));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), before);
    let (kept, forgotten) = file.remember(&known(3, "bo"), true).unwrap();
    assert_eq!((kept.len(), forgotten), (PEERS_MAX, Vec::new()));
    let after = fs::read_to_string(file.path()).unwrap();
    assert_eq!(after, before.replace(&numbered(1, How::Code), "") + &format!("{}\n", known(3, "bo")));
}

#[test]
fn a_client_with_older_knowledge_does_not_make_by_a_code_of_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    let trust = Trust::new(file.clone(), Vec::new(), None);
    file.remember(&known(1, "bo"), true).unwrap();
    trust.knew_the_code(&shown("p", "mallory", Some(key(1)), 1)).unwrap();
    assert_eq!(file.read().unwrap(), [known(1, "bo")]);
    assert_eq!(trust.known(Some(key(1))), Some(known(1, "bo")), "and it has learnt what there is");
}

#[test]
fn what_is_advised_is_what_helps() {
    let words = |kind: std::io::ErrorKind| KnownPeersError::from(std::io::Error::from(kind)).to_string();
    assert!(words(std::io::ErrorKind::PermissionDenied).contains("XDG_DATA_HOME"));
    assert!(!words(std::io::ErrorKind::StorageFull).contains("XDG_DATA_HOME"));
    let locked = words(std::io::ErrorKind::WouldBlock);
    assert!(locked.contains("another client") && !locked.contains("XDG_DATA_HOME"), "{locked}");
}

#[test]
fn what_an_earlier_process_left_half_written_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    file.remember(&known(1, "bo"), true).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    let left = file.path().with_extension(format!("new-{}", std::process::id()));
    std::os::unix::fs::symlink(&elsewhere, left).unwrap();
    file.remember(&known(2, "ana"), true).unwrap();
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "precious");
    assert_eq!(file.read().unwrap().len(), 2);
    assert!(!fs::symlink_metadata(file.path()).unwrap().file_type().is_symlink());
}

#[test]
fn clients_that_remember_at_the_same_time_lose_nobody() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let file = profile(&folder).known_peers();
            scope.spawn(move || {
                for number in 0..10 {
                    file.remember(&known(client * 10 + number, &format!("peer {client} {number}")), true)
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(profile(&folder).known_peers().read().unwrap().len(), 40);
}

fn shown(peer: &str, name: &str, key: Option<IdentityKey>, certificate: u8) -> Shown {
    let peer_id = PeerId::parse(peer).unwrap();
    Shown { peer_id, display_name: Untrusted::new(name), key, certificate: [certificate; 32] }
}

#[test]
fn a_key_that_is_remembered_is_known_under_any_name_but_that_of_somebody_else() {
    let trust = Trust::of(vec![known(1, "bo"), known(2, "ana")]);
    let opinion = |name, key| trust.opinion(&shown("p", name, key, 1));
    assert_eq!(opinion("bo", Some(key(1))), Opinion::Known(known(1, "bo")));
    assert_eq!(opinion("carol", Some(key(1))), Opinion::Known(known(1, "bo")));
    assert_eq!(opinion("ana", Some(key(1))), Opinion::CalledLike(known(2, "ana")));
    assert_eq!(opinion("carol", Some(key(3))), Opinion::New);
    assert_eq!(opinion("carol", None), Opinion::New);
    for name in ["bo", "BO", "b0", " bo ", "b\u{43e}"] {
        for key in [Some(key(3)), None] {
            assert_eq!(opinion(name, key), Opinion::CalledLike(known(1, "bo")), "{name}");
        }
    }
    // Somebody with two devices is known by both.
    let trust = Trust::of(vec![known(1, "bo"), known(2, "bo")]);
    for number in [1, 2] {
        let opinion = trust.opinion(&shown("p", "bo", Some(key(number)), 1));
        assert_eq!(opinion, Opinion::Known(known(number, "bo")));
    }
}

#[test]
fn who_proves_a_code_is_blocked_for_a_name_only_if_that_was_compared() {
    let by_code = KnownPeer { how: How::Code, ..known(1, "bo") };
    let remembered = || vec![by_code.clone(), known(2, "ana")];
    let like = |trust: &Trust, name, key| trust.opinion(&shown("p", name, key, 1));
    let (open, sealed) = (Trust::of(remembered()), Trust::of(remembered()).sealed());
    assert_eq!(like(&open, "bo", Some(key(3))), Opinion::CalledLike(by_code.clone()));
    for key in [Some(key(3)), None] {
        assert_eq!(like(&sealed, "bo", key), Opinion::New, "another user of that name");
        assert_eq!(like(&sealed, "ana", key), Opinion::CalledLike(known(2, "ana")));
    }
    assert_eq!(like(&sealed, "bo", Some(key(1))), Opinion::Known(by_code));
}

#[test]
fn who_is_accepted_for_the_session_is_so_by_its_key_or_certificate_and_under_that_name_alone() {
    let trust = Trust::of(vec![known(1, "bo"), known(2, "ana")]);
    trust.accept(&shown("p", "bo", None, 1));
    assert_eq!(trust.opinion(&shown("p", "bo", None, 1)), Opinion::New);
    assert!(matches!(trust.opinion(&shown("p", "bo", None, 2)), Opinion::CalledLike(_)));
    assert!(matches!(trust.opinion(&shown("p", "ana", None, 1)), Opinion::CalledLike(_)));
    assert!(matches!(trust.opinion(&shown("p", "bo", Some(key(3)), 1)), Opinion::CalledLike(_)));
    trust.accept(&shown("p", "bo", Some(key(3)), 1));
    assert_eq!(trust.opinion(&shown("p", "bo", Some(key(3)), 2)), Opinion::New);
}

#[test]
fn who_was_verified_in_this_session_and_shows_another_certificate_is_not_that_one() {
    let trust = Trust::of(vec![known(1, "bo")]);
    let judge = trust.judge();
    let judge = |shown: &Shown| judge.judge(shown);
    assert_eq!(judge(&shown("p", "carol", Some(key(1)), 1)), Judgement::Known);
    // Somebody in between, who cannot prove the key.
    assert_eq!(judge(&shown("p", "carol", None, 9)), Judgement::Held);
    assert_eq!(judge(&shown("p", "carol", Some(key(1)), 9)), Judgement::Known);
    assert_eq!(judge(&shown("q", "carol", None, 9)), Judgement::New);
    trust.note_verified(&shown("q", "dee", None, 5));
    assert_eq!(judge(&shown("q", "dee", None, 5)), Judgement::New);
    assert_eq!(trust.opinion(&shown("q", "dee", None, 6)), Opinion::OtherCertificate);
}

#[test]
fn what_another_client_of_the_profile_remembers_is_known_here() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    let trust = Trust::new(file.clone(), Vec::new(), Some(key(8)));
    let judge = trust.judge();
    assert_eq!(judge.judge(&shown("p", "bo", Some(key(1)), 1)), Judgement::New);
    file.remember(&known(1, "bo"), true).unwrap();
    assert_eq!(judge.judge(&shown("p", "bo", Some(key(1)), 1)), Judgement::Known);
    assert_eq!(judge.judge(&shown("p", "bo", None, 1)), Judgement::Held);
}

#[test]
fn by_a_code_whoever_is_new_is_remembered_and_nobody_takes_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(&folder).known_peers();
    let trust = Trust::new(file.clone(), Vec::new(), Some(key(8)));
    for (name, key) in [("bo", Some(key(1))), ("bo", None), ("bo", Some(key(8))), ("carol", Some(key(1)))] {
        trust.knew_the_code(&shown("p", name, key, 1)).unwrap();
    }
    let kept = file.read().unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((kept[0].key, kept[0].how, kept[0].name.as_str()), (key(1), How::Code, "bo"));
    assert!(Trust::default().knew_the_code(&shown("p", "bo", Some(key(1)), 1)).is_ok(), "without a profile");
}

proptest! {
    #[test]
    fn no_line_breaks_the_file_and_what_was_remembered_is_read_again(
        before in "(\\PC{0,60}\n){0,5}",
        name in any::<String>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = profile(&folder).known_peers();
        file.remember(&known(1, "bo"), true).unwrap();
        fs::write(file.path(), &before).unwrap();
        let name = name.chars().take(64).collect::<String>();
        let peer = known(7, &name);
        let (kept, _) = file.remember(&peer, false).unwrap();
        prop_assert_eq!(kept.last(), Some(&peer));
        prop_assert_eq!(file.read().unwrap(), kept);
    }
}
