//! What is revoked, for how long, and what a restart, a crash and a full disk make of it.

use super::*;
use crate::tokens::Permissions;

const DAY: Duration = Duration::from_secs(86_400);
const NOW: u64 = 1_800_000_000;

fn grant(subject: &str, token_id: &str, issued_at: u64) -> Grant {
    Grant {
        key_id: "2026-11".into(),
        subject: subject.into(),
        token_id: token_id.into(),
        issued_at,
        permissions: Permissions::default(),
    }
}

fn token(id: &str) -> Target {
    Target::TokenId(id.to_owned())
}

fn subject(id: &str) -> Target {
    Target::Subject(id.to_owned())
}

#[test]
fn a_token_or_all_of_a_subject_are_taken_back() {
    let revoked = Revoked::open(None, DAY, NOW).unwrap();
    let ana = grant("ana", "7", NOW - 60);
    assert!(!revoked.covers(&ana));
    assert_eq!(
        revoked.revoke(token("7"), NOW).unwrap(),
        Revocation { revoked_at: NOW, survives_restart: false }
    );
    assert!(revoked.covers(&ana) && !revoked.covers(&grant("ana", "8", NOW - 60)));
    revoked.revoke(subject("ana"), NOW).unwrap();
    assert!(revoked.covers(&grant("ana", "8", NOW - 60)) && revoked.covers(&grant("ana", "", NOW + 30)));
    assert!(!revoked.covers(&grant("ana", "8", NOW + 31)), "one that was issued later is good");
    // The one is not the other, and no name is nobody's.
    revoked.revoke(token("bo"), NOW).unwrap();
    assert!(!revoked.covers(&grant("bo", "", NOW)) && !revoked.covers(&grant("", "", NOW)));
}

#[test]
fn all_that_a_key_signed_by_now_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(Target::KeyId("2026-11".to_owned()), NOW).unwrap();
    for revoked in [revoked, Revoked::open(Some(&path), DAY, NOW).unwrap()] {
        assert!(revoked.covers(&grant("ana", "7", NOW + 30)) && revoked.covers(&grant("", "", 0)));
        assert!(!revoked.covers(&grant("ana", "7", NOW + 31)));
        assert!(!revoked.covers(&Grant { key_id: "2026-12".into(), ..grant("2026-11", "2026-11", NOW) }));
    }
    assert!(!Target::KeyId("a b".to_owned()).is_valid() && !Target::KeyId(String::new()).is_valid());
}

#[test]
fn a_restart_remembers_until_it_no_longer_matters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let open = |now| Revoked::open(Some(&path), DAY, now).unwrap();
    let revoked = open(NOW);
    assert!(revoked.revoke(token("\"quoted\" é"), NOW).unwrap().survives_restart);
    revoked.revoke(subject("ana"), NOW + 10).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), fs::read(&path).unwrap().len() as u64);
    let again = open(NOW + 20);
    assert!(again.covers(&grant("", "\"quoted\" é", 0)) && again.covers(&grant("ana", "", NOW)));
    // The first is forgotten, in the file too.
    let later = open(NOW + 5 + DAY.as_secs());
    assert_eq!(later.count(), 1);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("{{\"subject\":\"ana\",\"revoked_at\":{}}}\n", NOW + 10)
    );
}

#[test]
fn a_line_that_a_crash_cut_is_dropped_and_anything_else_odd_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let open = || Revoked::open(Some(&path), DAY, NOW);
    let whole = format!("{{\"token_id\":\"7\",\"revoked_at\":{NOW}}}\n");
    fs::write(&path, format!("{whole}\n{{\"token_id\":\"8\",\"rev")).unwrap();
    let revoked = open().unwrap();
    assert_eq!(revoked.count(), 1);
    revoked.revoke(token("9"), NOW).unwrap();
    assert_eq!(open().unwrap().count(), 2);
    for odd in [
        "nonsense\n",
        "{\"token_id\":\"\",\"revoked_at\":1}\n",
        "{\"revoked_at\":1}\n",
        "{\"token_id\":\"7\"}\n",
    ] {
        fs::write(&path, format!("{whole}{odd}")).unwrap();
        assert!(matches!(open(), Err(RevokedFileError::Line(2))), "{odd}");
    }
    assert!(matches!(Revoked::open(Some(folder.path()), DAY, NOW), Err(RevokedFileError::Io(_))));
}

#[test]
fn what_is_written_beside_the_server_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(token("7"), NOW).unwrap();
    let mut file = appending(&path).unwrap();
    file.write_all(format!("{{\"token_id\":\"8\",\"revoked_at\":{NOW}}}\n").as_bytes()).unwrap();
    assert_eq!((revoked.read_again(NOW).unwrap(), revoked.read_again(NOW).unwrap()), (1, 0));
    assert!(revoked.covers(&grant("", "8", NOW)));
}

#[test]
fn a_last_line_without_its_end_is_not_glued_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let line = |id: &str| format!("{{\"token_id\":\"{id}\",\"revoked_at\":{NOW}}}");
    let known = |ids: &[&str]| {
        let again = Revoked::open(Some(&path), DAY, NOW).unwrap();
        assert_eq!(again.count(), ids.len());
        assert!(ids.iter().all(|id| again.covers(&grant("", id, NOW))), "{ids:?}");
    };
    // As it was found at the start, as it was found when it was read again, and as nobody has seen it yet.
    fs::write(&path, line("1")).unwrap();
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(token("2"), NOW).unwrap();
    known(&["1", "2"]);
    appending(&path).unwrap().write_all(line("3").as_bytes()).unwrap();
    assert_eq!(revoked.read_again(NOW).unwrap(), 1);
    revoked.revoke(token("4"), NOW).unwrap();
    known(&["1", "2", "3", "4"]);
    appending(&path).unwrap().write_all(line("5").as_bytes()).unwrap();
    revoked.revoke(token("6"), NOW).unwrap();
    known(&["1", "2", "3", "4", "5", "6"]);
    assert!(
        revoked.covers(&grant("", "5", NOW)),
        "what was found when the file was written anew is in force"
    );
}

#[test]
fn lines_of_others_outlive_a_rewrite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(token("7"), NOW).unwrap();
    let line = format!("{{\"token_id\":\"of others\",\"revoked_at\":{NOW}}}\n");
    appending(&path).unwrap().write_all(line.as_bytes()).unwrap();
    let is_rewritten = (0..10_000).any(|_| {
        revoked.revoke(token("7"), NOW).unwrap();
        let is_short = fs::read_to_string(&path).unwrap().lines().count() == 2;
        is_short && revoked.covers(&grant("", "of others", NOW))
    });
    assert!(is_rewritten);
    assert!(Revoked::open(Some(&path), DAY, NOW).unwrap().covers(&grant("", "of others", NOW)));
    // What nobody understands is not thrown away.
    appending(&path).unwrap().write_all(b"nonsense\n{\"token").unwrap();
    assert!(matches!(revoked.revoke(token("8"), NOW), Err(RevokeError::NotWritten(_))));
    assert!(revoked.covers(&grant("", "8", NOW)));
    assert!(fs::read_to_string(&path).unwrap().contains("nonsense"));
}

#[test]
fn a_subject_that_is_taken_back_again_elsewhere_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(subject("ana"), NOW).unwrap();
    let later = grant("ana", "", NOW + 60);
    assert!(!revoked.covers(&later));
    let line = |at: u64| format!("{{\"subject\":\"ana\",\"revoked_at\":{at}}}\n");
    fs::write(&path, line(NOW + 60)).unwrap();
    assert_eq!(revoked.read_again(NOW + 60).unwrap(), 1);
    assert!(revoked.covers(&later));
    fs::write(&path, line(NOW)).unwrap();
    assert_eq!(revoked.read_again(NOW + 60).unwrap(), 0);
    assert!(revoked.covers(&later), "what is in force stays so");
}

#[test]
fn what_cannot_be_written_is_in_force_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder/revoked");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    fs::remove_dir_all(folder.path().join("folder")).unwrap();
    assert!(matches!(revoked.revoke(token("7"), NOW), Err(RevokeError::NotWritten(_))));
    assert!(revoked.covers(&grant("", "7", NOW)));
    // Once there is a place for it, all of it is written.
    fs::create_dir(folder.path().join("folder")).unwrap();
    revoked.revoke(token("8"), NOW).unwrap();
    let known = Revoked::open(Some(&path), DAY, NOW).unwrap();
    assert!(known.covers(&grant("", "7", NOW)) && known.covers(&grant("", "8", NOW)));
}

#[test]
fn the_table_and_the_file_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    for turn in 0..2 * COMPACT_LINES_MIN as u64 {
        revoked.revoke(token("7"), NOW + turn).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap().lines().count() <= COMPACT_LINES_MIN + 2);
    let revoked = Revoked::open(None, DAY, NOW).unwrap();
    for id in 0..REVOKED_MAX {
        revoked.revoke(token(&id.to_string()), NOW).unwrap();
    }
    assert!(matches!(revoked.revoke(token("more"), NOW), Err(RevokeError::Full)));
    revoked.revoke(token("7"), NOW).unwrap();
    revoked.revoke(token("more"), NOW + 1 + DAY.as_secs()).unwrap();
    assert_eq!(revoked.count(), 1, "what no longer matters makes room");
}

#[test]
fn the_table_is_bounded_by_what_it_and_the_file_say_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = Revoked::open(Some(&path), DAY, NOW).unwrap();
    revoked.revoke(token("first"), NOW).unwrap();
    let lines = |ids: std::ops::Range<usize>| -> String {
        ids.map(|id| format!("{{\"token_id\":\"{id}\",\"revoked_at\":{NOW}}}\n")).collect()
    };
    fs::write(&path, lines(0..REVOKED_MAX)).unwrap();
    assert!(matches!(revoked.read_again(NOW), Err(RevokedFileError::TooMany)));
    assert_eq!(revoked.count(), 1, "nothing of it is taken");
    fs::write(&path, lines(1..REVOKED_MAX)).unwrap();
    assert_eq!(revoked.read_again(NOW).unwrap(), REVOKED_MAX - 1);
    assert!(matches!(revoked.revoke(token("more"), NOW), Err(RevokeError::Full)));
}
