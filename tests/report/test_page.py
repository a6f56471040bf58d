import sys

import pytest
from markupsafe import Markup

from audiocodec.errors import MissingPackageError
from audiocodec.report.page import check_installed, render


def test_what_is_filled_in_is_escaped_once():
    page = render("page.html", title="a < b", body=Markup("<p>{}</p>").format("<b>&"))
    assert "<title>a &lt; b</title>" in page
    assert "<p>&lt;b&gt;&amp;</p>" in page
    assert page.endswith("</html>\n")


@pytest.mark.parametrize("name", ["jinja2", "matplotlib", "PIL"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, name):
    check_installed()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=rf"{name}.*pip install 'audiocodec\[plot\]'"):
        check_installed()
