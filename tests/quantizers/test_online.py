import torch

from audiocodec.quantizers import build_method


def test_two_steps_against_the_rule_written_out() -> None:
    """p <- 0.99 p + 0.01 freq; c <- (1 - a) c + a anchor, anchor the closest vector to each entry."""
    torch.manual_seed(0)
    size = 12
    quantizer = build_method(3, "online", size, {}).train()
    entries = 2 * torch.randn(size, 3)
    quantizer.load_codebooks({"codebook": entries})
    quantizer.usage.zero_()
    p, c = torch.zeros(size), entries.clone()
    for _ in range(2):
        latents = torch.randn(2, 3, 25)
        z = latents.transpose(1, 2).reshape(-1, 3)
        a = torch.exp(-10 * size * p / 0.01 - 1e-3)[:, None]
        anchor = z[torch.cdist(c, z).argmin(1)]
        c = (1 - a) * c + a * anchor
        output = quantizer(latents)
        torch.testing.assert_close(quantizer.codebook.detach(), c)
        k = torch.cdist(z, c).argmin(1)
        assert torch.equal(output.codes.flatten(), k)
        p = 0.99 * p + 0.01 * k.bincount(minlength=size) / len(k)
        torch.testing.assert_close(quantizer.usage, p)


def test_nearly_all_entries_come_into_use_where_plain_learning_leaves_most_dead() -> None:
    used = {}
    for method in ("vector", "online"):
        torch.manual_seed(0)
        quantizer = build_method(4, method, 64, {}).train()
        optimizer = torch.optim.SGD(quantizer.parameters(), lr=1.0)
        for step in range(100):
            latents = 3 + torch.randn(4, 4, 100, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            quantizer(latents).loss.backward()
            optimizer.step()
        latents = 3 + torch.randn(20, 4, 100, generator=torch.Generator().manual_seed(99))
        used[method] = len(quantizer.eval().encode(latents).unique())
    assert used["online"] >= 55
    assert used["vector"] <= 16
