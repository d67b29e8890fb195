"""The model card shows names that come from files as they are."""

from spatioformer.models.card import as_markdown, model_card


def test_a_card_of_hostile_names_holds_no_link_picture_or_html():
    name = "<script>alert(1)</script> ![x](http://x/y.png) `a` **b**\n# c & _d_ e_f"
    card = model_card(
        {"name": name, "target": name, "virtual": name}, 3, [name], [(name, name)], ""
    )
    shown = (
        r"&lt;script&gt;alert(1)&lt;/script&gt; !\[x\](http://x/y.png) \`a\` \*\*b\*\* # c &amp; "
        r"\_d\_ e_f"
    )
    lines = card.splitlines()
    assert lines[0] == f"# {shown}"
    assert lines[2].startswith(f"Predicts {shown} (species)")
    assert lines[4] == f"- {shown}: {shown}"
    assert lines[5] == f"- Bands, in order: {shown}"
    assert lines[6] == f"- Warning: {shown}"


def test_usual_names_stay_as_they_are():
    for text in ("plant species richness", "image_1", "Größe (m2), 3 x 3", "a - b", [140.0, -26.5]):
        assert as_markdown(text) == str(text)
