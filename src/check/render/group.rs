//! Obstacles with one cause, such as a program that is not installed: one entry of a report for all of them.

use std::collections::HashMap;

use super::{CheckReport, CheckSubject, Located, MOST_LISTED, is_explanation, part};
use crate::report::log::visible;

/// Finding of a report, with the places of others that are the same obstacle.
pub(super) struct Grouped<'r> {
    pub(super) subject: &'r CheckSubject,
    pub(super) located: &'r Located,
    /// Explanations of it.
    pub(super) notes: Vec<&'r Located>,
    /// Places of the others.
    others: Vec<String>,
}

impl Grouped<'_> {
    /// Returns the places of the others in one line, the first ones of many; `None` if there are none.
    pub(super) fn others(&self) -> Option<String> {
        let count = self.others.len();
        let more = count.saturating_sub(MOST_LISTED);
        let listed = self.others[..count - more].join(", ");
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        let plural = if count == 1 { "place" } else { "places" };
        (count > 0).then(|| format!("the same in {count} more {plural}: {listed}{rest}"))
    }
}

/// Returns the findings of a report in their order. The same obstacle in several places is one entry, at the first of them.
pub(super) fn grouped(report: &CheckReport) -> Vec<Grouped<'_>> {
    let mut groups: Vec<Grouped<'_>> = Vec::new();
    let mut known = HashMap::new();
    for checked in &report.checked {
        let mut last: Option<usize> = None;
        for located in &checked.findings {
            let finding = &located.finding;
            if let (true, Some(last)) = (is_explanation(finding), last) {
                groups[last].notes.push(located);
                continue;
            }
            let cause = (finding.code, finding.message.as_str(), finding.help.as_deref());
            let is_alone = !located.is_obstacle() || located.excerpt.is_some();
            let at = if is_alone { None } else { known.get(&cause).copied() };
            last = Some(at.unwrap_or(groups.len()));
            match at {
                Some(at) => {
                    let place = visible(&located.place(&checked.subject).to_string()).into_owned();
                    let part =
                        part(located.part(&checked.subject)).map(|part| format!(" ({part})")).unwrap_or_default();
                    groups[at].others.push(format!("{place}{part}"));
                }
                None => {
                    if !is_alone {
                        known.insert(cause, groups.len());
                    }
                    groups.push(Grouped { subject: &checked.subject, located, notes: Vec::new(), others: Vec::new() });
                }
            }
        }
    }
    groups
}
