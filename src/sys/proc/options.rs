//! Options of a command line. Pure.

/// The values of an option: `-f FILE`, `-fFILE`, `--file FILE`, `--file=FILE`; and of `--`, all words behind it. The first word is the program.
#[must_use]
pub fn option_values(words: &[String], option: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if word == "--" {
            if option == "--" {
                values.extend(rest.cloned());
            }
            break;
        }
        let Some(value) = word.strip_prefix(option) else { continue };
        let is_short = option.len() == 2 && !option.starts_with("--");
        match value.strip_prefix('=') {
            _ if value.is_empty() => values.extend(rest.next().cloned()),
            Some(value) => values.push(value.to_owned()),
            None if is_short => values.push(value.to_owned()),
            None => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_an_option_are_found_in_each_notation() {
        let cases = [
            ("app -f a.conf -x", "-f", vec!["a.conf"]),
            ("app -fa.conf -f=b.conf", "-f", vec!["a.conf", "b.conf"]),
            ("app --config.file=a.yml", "--config.file", vec!["a.yml"]),
            ("app --config.file a.yml --config.files x", "--config.file", vec!["a.yml"]),
            ("app -W -- a.cfg -f", "--", vec!["a.cfg", "-f"]),
            ("app -W -- a.cfg -f b", "-f", vec![]),
            ("app -f", "-f", vec![]),
        ];
        for (line, option, expected) in cases {
            assert_eq!(
                option_values(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), option),
                expected,
                "{line}"
            );
        }
    }
}
