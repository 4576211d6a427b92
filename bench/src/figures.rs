//! A sample of durations and how it is printed.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Zero when nothing was measured.
    pub(crate) fn median(&mut self) -> Duration {
        self.0.sort_unstable();
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    /// Prints count, median, 99th percentile and maximum in milliseconds.
    pub(crate) fn print(mut self, what: &str) {
        self.0.sort_unstable();
        let ms = |share: f64| {
            let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len()) - 1;
            self.0[index].as_secs_f64() * 1e3
        };
        if self.0.is_empty() {
            println!("{what}: nothing measured");
            return;
        }
        println!(
            "{what}: {} runs, p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            self.0.len(),
            ms(0.50),
            ms(0.99),
            ms(1.0)
        );
    }
}
