//! The exchange of a sealed room, both sides of it, without a network.

use super::MeasureError;
use crate::{
    Code, PeerId,
    seal::{Exchange, Guesses, Outcome, Terms},
};

/// Payloads that a whole exchange may take; more is a loop without end.
const PAYLOADS_MAX: usize = 16;

/// Carries one through, until both sides have proved that they know `code`; gives how many payloads went from side to side.
///
/// # Errors
/// When it does not come to that.
pub fn exchange(code: &Code) -> Result<usize, MeasureError> {
    let failed = || MeasureError::Engine("the exchange failed".into());
    let ids = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"].map(PeerId::parse);
    let [Some(a), Some(b)] = ids else { return Err(failed()) };
    let terms = |number| Terms { fingerprint: [number; 32], identity_key: None, capabilities: Vec::new() };
    let mut sides =
        [Exchange::new(code.clone(), &a, &b, terms(1)), Exchange::new(code.clone(), &b, &a, terms(2))];
    let mut guesses = [Guesses::default(); 2];
    // The one with the smaller id begins.
    let mut next = Some((1, sides[0].begin(&guesses[0]).map_err(|_| failed())?));
    let (mut payloads, mut open) = (0, 0);
    while let Some((to, payload)) = next.take().filter(|_| payloads < PAYLOADS_MAX) {
        payloads += 1;
        let answer = match sides[to].handle(&payload, &mut guesses[to]).map_err(|_| failed())? {
            Outcome::Answer(answer) => Some(answer),
            Outcome::Open { answer, .. } => {
                open += 1;
                answer
            }
            Outcome::Nothing | Outcome::Message(_) | Outcome::Refused(_) => None,
        };
        next = answer.map(|answer| (1 - to, answer));
    }
    if open == sides.len() { Ok(payloads) } else { Err(failed()) }
}
