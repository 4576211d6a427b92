//! Addresses: who is told apart, what is kept, what is forgotten.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key(address: &str) -> AddressKey {
    AddressKey::from(address.parse::<IpAddr>().unwrap())
}

fn nth(number: u32) -> AddressKey {
    AddressKey::V4(Ipv4Addr::from_bits(number))
}

#[test]
fn one_subscriber_is_one_address() {
    assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
}

#[test]
fn each_address_has_its_own_share() {
    let mut table = Addresses::new(Some(2), None, 10);
    let now = Instant::now();
    for address in ["192.0.2.1", "192.0.2.2"] {
        table.open(key(address), now).unwrap();
        table.open(key(address), now).unwrap();
        assert_eq!(table.open(key(address), now), Err(Denied::TooMany));
    }
    table.close(key("192.0.2.1"), now);
    assert_eq!(table.open(key("192.0.2.2"), now), Err(Denied::TooMany));
    table.open(key("192.0.2.1"), now).unwrap();
}

#[test]
fn what_is_refused_costs_nothing_further() {
    let mut table = Addresses::new(Some(1), Rate::per_second(1, 2), 10);
    let now = Instant::now();
    table.open(nth(1), now).unwrap();
    for _ in 0..100 {
        assert_eq!(table.open(nth(1), now), Err(Denied::TooMany));
    }
    table.close(nth(1), now);
    table.open(nth(1), now).unwrap();
    table.close(nth(1), now);
    assert_eq!(table.open(nth(1), now), Err(Denied::TooOften(SECOND)));
    table.open(nth(1), now + SECOND).unwrap();
}

#[test]
fn who_has_nothing_on_the_account_is_forgotten() {
    let mut table = Addresses::new(Some(5), None, 10);
    let now = Instant::now();
    table.open(nth(1), now).unwrap();
    table.close(nth(1), now);
    assert!(table.accounts.is_empty());
    // With a rate only the sweep can tell.
    let mut table = Addresses::new(None, Rate::per_second(1, 1), 10);
    for number in 0..10_000 {
        let now = now + SECOND / 1000 * number;
        table.open(nth(number), now).unwrap();
        table.close(nth(number), now);
        assert!(table.accounts.len() <= 2 * SWEEP_MIN, "{}", table.accounts.len());
    }
}

#[test]
fn a_full_table_says_so_and_recovers() {
    let mut table = Addresses::new(None, Rate::per_second(1, 60), 0);
    let start = Instant::now();
    let most = u32::try_from(ADDRESSES_MAX).unwrap();
    for number in 0..most {
        table.open(nth(number), start).unwrap();
        table.close(nth(number), start);
    }
    assert_eq!(table.open(nth(most), start), Err(Denied::TableFull));
    // Those it knows are not concerned.
    table.open(nth(7), start).unwrap();
    table.close(nth(7), start);
    table.open(nth(most), start + SECOND * 3).unwrap();
    assert_eq!(table.accounts.len(), 1);
}

#[test]
fn what_is_open_is_never_forgotten() {
    let mut table = Addresses::new(Some(1), Rate::per_second(1000, 1), 1 << 20);
    let start = Instant::now();
    for number in 0..5_000 {
        table.open(nth(number), start).unwrap();
    }
    let later = start + SECOND * 60;
    for number in 0..5_000 {
        assert_eq!(table.open(nth(number), later), Err(Denied::TooMany));
        table.close(nth(number), later);
    }
    assert!(table.accounts.is_empty());
}

#[test]
fn a_throttle_tells_how_long_to_wait() {
    let throttle = AddressThrottle::new(Rate::per_second(10, 20));
    let (now, address) = (Instant::now(), "192.0.2.1".parse().unwrap());
    assert_eq!((0..1000).filter(|_| throttle.take(address, now).is_ok()).count(), 200);
    assert_eq!(throttle.take(address, now), Err(SECOND / 10));
    throttle.take("192.0.2.2".parse().unwrap(), now).unwrap();
    let unlimited = AddressThrottle::new(None);
    assert!((0..1000).all(|_| unlimited.take(address, now).is_ok()));
}
