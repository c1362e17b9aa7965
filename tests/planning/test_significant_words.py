"""The significant words of a task, and the topics whose names contain them."""

from orchestrator.domain.knowledge.records import Topic
from orchestrator.planning.significant_words import fitting, query_of, words_of


def ranked(query: str, *names: str, **tags: str) -> list[str]:
    topics = [(name, ()) for name in names] + [(name, (tag,)) for name, tag in tags.items()]
    records = [
        Topic(name=name, tags=tags, author="ann", digest="", versions=(), updated_at="")
        for name, tags in topics
    ]
    return fitting(query_of((query, 1.0)), records)


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


def test_the_heavier_of_two_weights_of_a_word_counts():
    assert query_of(("pay", 3.0), ("pay often", 1.0)) == {"pay": 3.0, "often": 1.0}


def test_a_rare_word_weighs_more_than_a_frequent_one():
    assert ranked("rare often", "often-a", "often-b", "rare-c", "often-d")[0] == "rare-c"


def test_a_name_weighs_more_than_a_tag():
    assert ranked("payments", payments="other", notes="payments") == ["payments", "notes"]


def test_topics_without_a_word_are_left_out_and_equal_ones_go_by_name():
    assert ranked("pay", "birds") == ranked("", "birds") == ranked("pay") == []
    assert ranked("pay", "pay-b", "pay-a") == ["pay-a", "pay-b"]
