//! Text and JSON of a diagnosis. Pure.

use std::fmt::Write as _;

use super::{CheckStatus, Diagnosis};

impl CheckStatus {
    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Diagnosis {
    /// Text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
        let gates = self.checks.iter().filter_map(|check| check.gate.as_deref());
        let several = gates.clone().any(|gate| Some(gate) != gates.clone().next());
        let mut text = String::new();
        for (index, check) in self.checks.iter().enumerate() {
            let gate = match &check.gate {
                Some(gate) if several => format!("{gate}: "),
                _ => String::new(),
            };
            let _ = writeln!(text, "{:4}  {:width$}  {gate}{}", check.status.as_str(), check.check, check.message);
            let Some(help) = &check.help else { continue };
            let before = self.checks[..index].iter().find(|before| before.help.as_ref() == Some(help));
            let help = before.map_or_else(|| help.clone(), |before| format!("as for `{}` above", before.check));
            let _ = writeln!(text, "{:4}  {:width$}  help: {help}", "", "");
        }
        let _ = writeln!(text, "\ntier: {} ({})", self.tier.as_str(), self.tier.describe());
        if let Some(next) = &self.next {
            let _ = writeln!(text, "next: {next}");
        }
        text
    }

    /// JSON for programs.
    #[must_use]
    pub fn json(&self) -> String {
        // All keys are strings, so this does not fail.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use crate::doctor::{Check, CheckStatus, Diagnosis, Tier};

    fn check(gate: Option<&str>, check: &'static str, status: CheckStatus, help: Option<&str>) -> Check {
        let message = format!("about {check}");
        Check { gate: gate.map(str::to_owned), check, status, message, help: help.map(str::to_owned) }
    }

    fn report(checks: Vec<Check>) -> Diagnosis {
        Diagnosis { version: 1, tier: Tier::Builtin, next: Some("more".into()), checks }
    }

    #[test]
    fn the_text_has_a_line_for_each_check_and_its_help() {
        let report = report(vec![
            check(None, "identity", CheckStatus::Ok, None),
            check(Some("web"), "judge", CheckStatus::Warn, Some("do this")),
            check(Some("web"), "target", CheckStatus::Fail, Some("do this")),
        ]);
        let expected = "ok    identity  about identity\nwarn  judge     about judge\n                help: do this\nfail  target    about \
                        target\n                help: as for `judge` above\n\ntier: builtin (validation by a built-in validator)\n\
                        next: more\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn the_text_names_the_gate_if_there_are_several() {
        let of = |gate| check(Some(gate), "judge", CheckStatus::Ok, None);
        let text = report(vec![of("web"), of("mail")]).text();
        assert!(text.contains("judge  web: about judge\n") && text.contains("judge  mail: about judge\n"), "{text}");
    }

    #[test]
    fn the_json_has_stable_names() {
        let text = report(vec![check(Some("web"), "judge", CheckStatus::Fail, Some("do this"))]).json();
        let expected = r#"{"version":1,"tier":"builtin","next":"more","checks":[{"gate":"web","check":"judge","status":"fail","message":"about judge","help":"do this"}]}"#;
        assert_eq!(text.trim_end(), expected);
    }
}
