//! A change of one's own name.

use super::*;

#[test]
fn a_new_name_is_shown_when_it_was_taken() {
    let mut bench = Bench::pair();
    assert_eq!(bench.enter("/nick ana"), [Effect::SetDisplayName { name: "ana".into() }]);
    assert_eq!(bench.app.roster().my_name().as_str(), "me");
    bench.event(AppEvent::Renamed { name: "ana".into(), result: Ok(()) });
    assert_eq!(
        (bench.app.roster().my_name().as_str(), bench.last_text().as_str()),
        ("ana", "you are ana now")
    );
}

#[test]
fn a_name_that_is_too_long_is_told_as_a_name() {
    let mut bench = Bench::pair();
    let too_long = SendError::TooLong { bytes: 80, max: 64 };
    bench.event(AppEvent::Renamed { name: "x".repeat(80), result: Err(too_long.into()) });
    assert_eq!(bench.last_text(), "the name stays: it is 80 bytes long, and 64 is the limit");
}
