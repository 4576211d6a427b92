//! Defaults, and what is said of settings that are wrong.

use super::*;

#[test]
fn defaults_are_those_of_the_command_line() {
    // No variable of ours is set where tests run; a set one would show as a difference.
    let parsed = Config::try_parse_from(["patchcord-server"]).unwrap();
    assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    Config::default().checked().unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let config = Config { turn_secret: Some("north".to_owned().into()), ..Config::default() };
    assert!(!format!("{config:?}").contains("north"));
}

#[test]
fn what_is_out_of_range_is_named() {
    let config = Config { turn_ttl_s: 5, ..Config::default() };
    assert_eq!(config.checked().unwrap_err().to_string(), "--turn-ttl: 5 is not in 60 to 86400");
    let config = Config { peers_per_room_max: 1, ..Config::default() };
    assert!(config.checked().unwrap_err().to_string().contains("--peers-per-room-max"));
}

#[test]
fn doors_need_two_addresses() {
    let config = Config { admin_listen: LISTEN_DEFAULT, ..Config::default() };
    assert!(matches!(config.clone().checked(), Err(ConfigError::SameAddress(_))));
    let config = Config { no_admin: true, ..config };
    config.checked().unwrap();
}

#[test]
fn a_secret_comes_from_one_place() {
    let turn = |secret: Option<&str>, file: Option<&str>| Config {
        turn_urls: vec!["turn:turn.example.org".to_owned()],
        turn_secret: secret.map(|secret| secret.to_owned().into()),
        turn_secret_file: file.map(PathBuf::from),
        ..Config::default()
    };
    let twice = turn(Some("north"), Some("x")).checked();
    assert!(matches!(twice, Err(ConfigError::TurnSecretTwice)));
    let missing = turn(Some(""), Some("/nonexistent/x")).checked();
    assert!(matches!(missing, Err(ConfigError::TurnSecretFile { .. })));
    let neither = turn(Some(""), Some("")).checked();
    assert!(matches!(neither, Err(ConfigError::TurnSecretMissing)));
    let config = turn(Some("north"), Some("")).checked().unwrap();
    assert_eq!(config.turn_secret.unwrap().reveal(), "north");
}

#[test]
fn every_flag_has_a_variable_and_a_description() {
    use clap::CommandFactory;
    for argument in Config::command().get_arguments() {
        let id = argument.get_id();
        assert!(argument.get_help().is_some(), "{id}");
        let variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(variable.starts_with("PATCHCORD_"), "{id}");
    }
}

#[test]
fn largest_roster_fits_into_a_response() {
    // Per peer: two strings, a time, a state and their tags.
    let peer_bytes = 64 + 16 + 32;
    assert!(PEERS_PER_ROOM_MAX_DEFAULT * peer_bytes < limits::SIGNAL_RESPONSE_BYTES_MAX);
    assert!(1_000 * peer_bytes < limits::SIGNAL_RESPONSE_BYTES_MAX);
    let limits = Config::default().limits();
    assert_eq!((limits.outbox_messages_max, limits.outbox_bytes_max), (256, 256 * 1024));
}
