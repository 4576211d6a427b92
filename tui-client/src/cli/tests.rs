//! The flags agree with each other and reach the library.

use super::*;

#[test]
fn the_argument_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_user_name_becomes_a_display_name_within_the_limit() {
    assert_eq!(display_name_from("ada"), "ada");
    assert_eq!(display_name_from("a\u{1b}[31m"), "a31m");
    assert_eq!(display_name_from(""), "guest");
    assert_eq!(display_name_from(&"ä".repeat(60)).len(), 64);
}

#[test]
fn our_own_help_fits_a_terminal_of_80_columns() {
    let help = [EXAMPLES_HELP, JOIN_HELP, JSON_HELP, DOCTOR_HELP, crate::rooms::JSON_HELP, EXIT_CODES_HELP];
    for line in help.iter().flat_map(|text| text.lines()) {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn plain_and_json_exclude_each_other() {
    assert!(Cli::try_parse_from(["patchcord", "join", "lobby", "--plain", "--json"]).is_err());
}

#[test]
fn a_turn_server_that_is_wrong_is_told_of_without_its_credential() {
    let good = "turn:turn.example,ada,s3cret";
    for wrong in ["turns//turn.example,ada,s3cret", "stun:turn.example,ada,s3cret"] {
        let line = ["patchcord", "doctor", "--ice-server", good, "--ice-server", wrong];
        let Command::Doctor(doctor) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not doctor")
        };
        let error = doctor.route.ice_servers().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("number 2") && text.contains("turn:HOST:PORT"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
    }
}

#[test]
fn the_flags_reach_the_peer_library() {
    let line = [
        "patchcord",
        "join",
        "lobby",
        "-s",
        "host",
        "-n",
        "ada",
        "--wait",
        "--relay-only",
        "--ip-policy=any",
    ];
    let Command::Join(join) = Cli::try_parse_from(line).unwrap().command else { panic!("not join") };
    let place = Place::Open(join.room.unwrap());
    let config = join.session.peer_config(&join.server.server, &place).unwrap();
    assert_eq!((config.server.as_str(), config.room.as_str()), ("http://host:50051", "lobby"));
    assert_eq!(config.display_name, "ada");
    assert_eq!(config.connect_policy, ConnectPolicy::Manual);
    assert_eq!(config.ice_transport_policy, IceTransportPolicy::Relay);
    assert_eq!(config.ip_policy, IpPolicy::Any);
}
