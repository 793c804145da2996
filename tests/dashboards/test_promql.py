"""The checks' own reading of PromQL."""

from promql import expand, ranges, selectors, used_variables


def test_selectors_are_found_wherever_they_stand():
    found = selectors(
        'histogram_quantile(0.95, sum by (le) (rate(a_bucket{job=~".+"}[5m] offset 1h))) > 5 '
        'unless on () b{x="1"} == 0'
    )
    assert [(s.text, s.is_ranged) for s in found] == [('a_bucket{job=~".+"}', True), ('b{x="1"}', False)]
    assert found[0].functions == ("histogram_quantile", "rate")


def test_a_pattern_of_names_is_a_list_of_them():
    (selector,) = selectors('{__name__=~"a|b", job="c"}')
    assert selector.metrics == ["a", "b"]


def test_variables_are_expanded_in_both_forms():
    text = 'rate(a{job=~"$job", x=~"${x}"}[$__rate_interval])'
    assert used_variables(text) == {"job", "x", "__rate_interval"}
    assert expand(text) == 'rate(a{job=~".+", x=~".+"}[15s])'
    assert expand(text, str.upper) == 'rate(a{job=~"JOB", x=~"X"}[15s])'


def test_ranges_are_read_with_their_function():
    text = 'rate(a{b="c"}[$__rate_interval]) / increase(d[1h])'
    assert list(ranges(text)) == [("rate", "$__rate_interval"), ("increase", "1h")]
