//! Which warnings of a look are worth an event. Pure.
//!
//! Upstream says each of them at each look, and its looks are far apart; ours are a second apart.
//! So the same words are said again after a while only, other words for the same reason as often
//! as upstream looks, and what was well in between is news.

const SECOND: i64 = 1_000_000;
/// How often the same words are worth an event.
const REPEAT: i64 = 300 * SECOND;
/// How often other words for the same reason are.
const REWORDED: i64 = 15 * SECOND;

/// What was said: reason, sentence and when, microseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warned(Vec<(&'static str, String, i64)>);

impl Warned {
    /// The clock was set by so much: what was said is as old as it was.
    pub fn shift(&mut self, by: i64) {
        self.0.iter_mut().for_each(|(_, _, at)| *at = at.saturating_add(by));
    }

    /// Of a look's warnings those that are to be said now.
    pub fn news<'a>(
        &mut self,
        warnings: &'a [(&'static str, String)],
        now: i64,
    ) -> Vec<&'a (&'static str, String)> {
        self.0
            .retain(|(reason, _, at)| now - at < REPEAT && warnings.iter().any(|(still, _)| still == reason));
        let mut news = Vec::new();
        for warning in warnings {
            let (reason, words) = warning;
            let mut before = self.0.iter().filter(|(known, _, _)| known == reason);
            // Other words of this very look are of another metric.
            let is_said = before.any(|(_, said, at)| said == words || (*at != now && now - at < REWORDED));
            if !is_said {
                self.0.push((*reason, words.clone(), now));
                news.push(warning);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "FailedGetResourceMetric";

    /// The seconds at which something is said, and what, where so much is wrong at each second.
    fn said(wrong: impl Fn(i64) -> Vec<&'static str>, seconds: i64) -> Vec<(i64, String)> {
        let (mut warned, mut all) = (Warned::default(), Vec::new());
        for second in 0..seconds {
            let warnings: Vec<_> =
                wrong(second).into_iter().map(|words| (REASON, words.to_owned())).collect();
            let news = warned.news(&warnings, second * SECOND);
            all.extend(news.into_iter().map(|(_, words)| (second, words.clone())));
        }
        all
    }

    fn expected(all: &[(i64, &str)]) -> Vec<(i64, String)> {
        all.iter().map(|(second, words)| (*second, (*words).to_owned())).collect()
    }

    #[test]
    fn the_same_words_are_said_once_in_a_while_and_at_once_after_it_was_well() {
        assert_eq!(said(|_| vec!["none"], 301), expected(&[(0, "none"), (300, "none")]));
        let ill = |second| if (10..20).contains(&second) { vec![] } else { vec!["none"] };
        assert_eq!(said(ill, 60), expected(&[(0, "none"), (20, "none")]));
    }

    #[test]
    fn other_words_are_said_when_upstream_would_look_again() {
        let later = |second| if second < 3 { vec!["no metrics"] } else { vec!["missing request"] };
        assert_eq!(said(later, 100), expected(&[(0, "no metrics"), (15, "missing request")]));
        // Words that are others each second.
        const WORDS: [&str; 3] = ["1 s old", "2 s old", "3 s old"];
        let seconds: Vec<_> = said(|second| vec![WORDS[second as usize % 3]], 40)
            .into_iter()
            .map(|(second, _)| second)
            .collect();
        assert_eq!(seconds, [0, 16, 32]);
    }

    #[test]
    fn two_metrics_that_fail_for_one_reason_are_both_said_and_only_once() {
        let both = |_| vec!["failed to get cpu usage", "failed to get memory usage"];
        let each = [(0, "failed to get cpu usage"), (0, "failed to get memory usage")];
        assert_eq!(said(both, 100), expected(&each));
    }

    #[test]
    fn a_clock_that_is_set_repeats_nothing() {
        let warnings = [(REASON, "none".to_owned())];
        for by in [-3600 * SECOND, 3600 * SECOND] {
            let mut warned = Warned::default();
            assert_eq!(warned.news(&warnings, 0).len(), 1);
            warned.shift(by);
            assert_eq!(warned.news(&warnings, by + 299 * SECOND).len(), 0, "{by}");
            assert_eq!(warned.news(&warnings, by + 300 * SECOND).len(), 1, "{by}");
        }
    }
}
