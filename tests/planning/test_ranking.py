"""BM25: rare words, short texts, and names weigh more."""

from orchestrator.planning.ranking import Text, query_of, rank, words_of


def ranked(query: str, **bodies: str) -> list[str]:
    texts = [Text(name, (), body) for name, body in bodies.items()]
    return rank(query_of((query, 1.0)), texts)


def test_words_are_folded_and_common_ones_say_nothing():
    assert words_of("The Payments of_the snake_case-API, and ÜBER gas class") == [
        "payment",
        "snake",
        "case",
        "api",
        "über",
        "gas",
        "class",
    ]


def test_a_rare_word_weighs_more_than_a_frequent_one():
    names = ranked("rare often", one="often", two="often", three="rare", four="often")
    assert names[0] == "three"


def test_a_short_text_weighs_more_than_a_long_one():
    assert ranked("pay", long="pay " + "filler " * 500, short="pay soon", other="x") == [
        "short",
        "long",
    ]


def test_a_name_weighs_more_than_a_word_in_the_text():
    assert ranked("payments", other="payments here", payments="how it is done") == [
        "payments",
        "other",
    ]


def test_a_tag_weighs_more_than_a_word_in_the_text():
    texts = [Text("a", (), "pay here"), Text("b", ("pay",), "done here")]
    assert rank(query_of(("pay", 1.0)), texts) == ["b", "a"]


def test_the_heavier_of_two_weights_of_a_word_counts():
    assert query_of(("pay", 3.0), ("pay often", 1.0)) == {"pay": 3.0, "often": 1.0}


def test_texts_without_a_word_of_the_query_are_left_out():
    assert ranked("pay", a="birds sing") == []
    assert ranked("", a="birds") == []
    assert rank({"pay": 1.0}, []) == []


def test_equal_scores_go_by_name():
    assert ranked("pay", b="pay", a="pay") == ["a", "b"]
