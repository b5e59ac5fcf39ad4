use tantivy::{DocAddress, Searcher};

use super::*;

/// All that is found of a clause, with its scores.
pub(in crate::search) fn found(
    clause: &Clause,
    searcher: &Searcher,
) -> tantivy::Result<Vec<(DocAddress, Score)>> {
    let mut clause = clause.clone();
    clause.weigh(searcher)?;
    let mut found = Vec::new();
    for (ordinal, segment) in (0..).zip(searcher.segment_readers()) {
        let Some(mut matches) = Matches::open(&clause, segment)? else { continue };
        let (mut window, is_sure) = (Window::new(), matches.is_sure());
        let mut doc = matches.reach(0);
        while doc != TERMINATED {
            window.begin(doc);
            matches.find(&mut window, &Bits::ALL);
            for at in window.found.iter() {
                let (doc, mut score) = (window.first() + at as DocId, 0.0);
                let is_there = matches.score(doc, &mut score);
                assert!(score <= window.score(at) || !is_there, "{score} {}", window.score(at));
                assert!(!is_sure || is_there && score == window.score(at), "{score}");
                if is_there && segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) {
                    found.push((DocAddress::new(ordinal, doc), score));
                }
            }
            doc = matches.reach(window.first() + DOCUMENTS as DocId);
        }
    }
    Ok(found)
}
