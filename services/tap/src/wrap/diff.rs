//! The lines that edits change, as a reader of differences expects them.

use std::fmt::Write as _;

use super::edit::Edit;

/// Longer lines, as of configurations that hold no line breaks, are cut.
const MAX_LINE: usize = 200;

/// The changed lines, each with a `-` or a `+` before it, under their line numbers.
pub(super) fn diff(text: &str, edits: &[Edit]) -> String {
    let mut shown = String::new();
    let mut edits = edits.iter().peekable();
    while let Some(first) = edits.next() {
        let start = text[..first.span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let (mut end, mut at, mut new) = (line_end(text, first.span.end), start, String::new());
        let mut next = Some(first);
        while let Some(edit) = next {
            new.push_str(&text[at..edit.span.start]);
            new.push_str(&edit.new);
            at = edit.span.end;
            end = end.max(line_end(text, at));
            // What stands on the same line is shown with it.
            next = edits.next_if(|edit| edit.span.start <= end);
        }
        new.push_str(&text[at..end]);
        let number = text[..start].matches('\n').count() + 1;
        hunk(&mut shown, number, &text[start..end], &new);
    }
    shown
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

fn hunk(shown: &mut String, number: usize, old: &str, new: &str) {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    // Writing to a text cannot fail.
    _ = writeln!(shown, "@@ line {} @@", number + before);
    for (mark, lines) in [('-', &old[..old.len() - after]), ('+', &new[..new.len() - after])] {
        for line in lines {
            let cut: String = line.chars().take(MAX_LINE).collect();
            let more = if cut.len() < line.len() { " …" } else { "" };
            _ = writeln!(shown, "{mark}{cut}{more}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, old: &str, new: &str) -> Edit {
        let at = text.find(old).unwrap();
        Edit { span: at..at + old.len(), new: new.into() }
    }

    #[test]
    fn only_changed_lines_are_shown() {
        let text = "one\ntwo\nsecret\nfour five\nsix\n";
        let insertion = Edit { span: 0..0, new: "zero\n".into() };
        let edits = [insertion, edit(text, "four", "4"), edit(text, "five", "5\n6")];
        let expected = "@@ line 1 @@\n+zero\n@@ line 4 @@\n-four five\n+4 5\n+6\n";
        assert_eq!(diff(text, &edits), expected);
        assert_eq!(diff(text, &[]), "");
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("a{}", "é".repeat(1_000));
        let shown = diff(&text, &[edit(&text, "a", "b")]);
        assert!(shown.len() < 1_000 && shown.contains(" …"), "{shown}");
    }
}
