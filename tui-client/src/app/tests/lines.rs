//! Without a screen: what would be a view is an entry.

use super::*;

#[test]
fn on_lines_commands_answer_with_entries() {
    let mut lines = Bench::on(Surface::Lines, ConnectPolicy::Newcomer, vec![peer("bbbb1111", "bo")]);
    assert_eq!(lines.event(AppEvent::Line("/who".into())), []);
    assert!(lines.last_text().contains("bo: not connected, unverified"), "{}", lines.last_text());
    assert_eq!(lines.event(AppEvent::Line("/net".into())), [Effect::FetchConnections]);
    lines.event(AppEvent::Line("/help".into()));
    let usages = crate::command::Name::ALL.map(|name| format!("{}  ", name.usage()));
    assert!(usages.iter().all(|usage| lines.last_text().contains(usage)), "{}", lines.last_text());
    lines.event(AppEvent::Line("/nope".into()));
    assert!(lines.last_text().starts_with("there is no command /nope"));
    assert_eq!(lines.event(AppEvent::Line("/leave".into())), [Effect::Leave]);
    assert_eq!(lines.departed(Vec::new(), EndReason::Left), [Effect::Quit]);
}
