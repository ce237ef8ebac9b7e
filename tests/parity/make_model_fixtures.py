#!/usr/bin/env python3
"""Small random models of transformers and open_clip with what they compute, for
tests/parity/test_models.c: fixtures/models/NAME holds the model as its library saves it,
expected.safetensors (inputs, embeddings, logits, loss) and gradients.safetensors (of the loss, under
the model's own tensor names).
"""
import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, ViTConfig, ViTModel
from open_clip.model import CLIP

torch.manual_seed(3)
root = pathlib.Path(__file__).parent / "fixtures" / "models"
COUNT, SIZE, PATCH, LENGTH, VOCABULARY, EMBED = 5, 24, 8, 10, 40, 12
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def roughen(model, scale=0.15):
    """No gain of one, no bias of zero, no symmetry left."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name != "logit_scale":
                p.add_(torch.randn_like(p) * scale)
    return model.eval()


def images():
    return torch.randint(0, 256, (COUNT, SIZE, SIZE, 3), dtype=torch.uint8)


def pixels(u8, mean=CLIP_MEAN, std=CLIP_STD):
    x = u8.float() / 255
    return ((x - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)


def texts(begin, end, pad):
    """begin, words, end, padding: lengths from 3 to the whole."""
    counts = torch.tensor([3 + (i * 7) // (COUNT - 1) for i in range(COUNT)])
    ids = torch.full((COUNT, LENGTH), pad)
    for row, n in zip(ids, counts):
        row[0], row[n - 1] = begin, end
        row[1:n - 1] = torch.randint(4, VOCABULARY - 3, (int(n) - 2,))
    return ids, counts


def contrastive(image, text, scale):
    logits = scale * image @ text.T
    target = torch.arange(COUNT)
    loss = (torch.nn.functional.cross_entropy(logits, target) +
            torch.nn.functional.cross_entropy(logits.T, target)) / 2
    return logits, loss


def write(name, u8, ids, counts, image, text, logits, loss, gradients):
    expected = {"images": u8, "ids": ids.int(), "counts": counts.int(), "loss": loss.reshape(1)}
    for key, value in (("image", image), ("text", text), ("logits", logits)):
        expected[key] = value.detach().contiguous()
    save_file(expected, root / name / "expected.safetensors")
    save_file({k: g.contiguous() for k, g in gradients.items() if g is not None},
              root / name / "gradients.safetensors")


def hf_clip(name, activation, dtype):
    c = CLIPConfig(
        text_config=dict(hidden_size=16, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                         vocab_size=VOCABULARY, max_position_embeddings=LENGTH, hidden_act=activation,
                         eos_token_id=VOCABULARY - 1, bos_token_id=VOCABULARY - 2, pad_token_id=1),
        vision_config=dict(hidden_size=24, intermediate_size=96, num_hidden_layers=2, num_attention_heads=3,
                           image_size=SIZE, patch_size=PATCH, hidden_act=activation),
        projection_dim=EMBED)
    model = roughen(CLIPModel(c))
    model.to(dtype).save_pretrained(root / name)
    model = model.float()
    u8 = images()
    ids, counts = texts(VOCABULARY - 2, VOCABULARY - 1, VOCABULARY - 1)
    out = model(input_ids=ids, pixel_values=pixels(u8), return_loss=True)
    out.loss.backward()
    write(name, u8, ids, counts, out.image_embeds, out.text_embeds, out.logits_per_image, out.loss,
          {k: p.grad for k, p in model.named_parameters()})


def oc_clip(name, text_extra, vision_extra, quick_gelu, dtype, mean, std, end=VOCABULARY - 1):
    cfg = dict(embed_dim=EMBED, quick_gelu=quick_gelu,
               vision_cfg=dict(image_size=SIZE, layers=2, width=24, patch_size=PATCH, head_width=8, **vision_extra),
               text_cfg=dict(context_length=LENGTH, vocab_size=VOCABULARY, width=16, heads=2, layers=2, **text_extra))
    model = roughen(CLIP(**cfg))
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.to(dtype).contiguous() for k, v in model.state_dict().items()},
              folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(
        {"model_cfg": cfg, "preprocess_cfg": {"mean": mean, "std": std}}, indent=2))
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "open_clip_model.safetensors").items()})
    u8 = images()
    ids, counts = texts(VOCABULARY - 2, end, 0)
    image = model.encode_image(pixels(u8, mean, std), normalize=True)
    text = model.encode_text(ids, normalize=True)
    logits, loss = contrastive(image, text, model.logit_scale.exp())
    loss.backward()
    write(name, u8, ids, counts, image, text, logits, loss, {k: p.grad for k, p in model.named_parameters()})


def single_tower(name, model, u8=None, ids=None, counts=None):
    """The tower's [CLS] or class-token output."""
    model.save_pretrained(root / name)
    if u8 is not None:
        out = model(pixel_values=pixels(u8, (0.5,) * 3, (0.5,) * 3)).last_hidden_state[:, 0]
        expected = {"images": u8, "output": out.detach().contiguous()}
    else:
        mask = (torch.arange(LENGTH)[None] < counts[:, None]).long()
        out = model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        expected = {"ids": ids.int(), "counts": counts.int(), "output": out.detach().contiguous()}
    save_file(expected, root / name / "expected.safetensors")


def towers():
    """Both of one width, so that the identity can stand for the projections."""
    bert = roughen(BertModel(BertConfig(hidden_size=24, intermediate_size=48, num_hidden_layers=3,
                                        num_attention_heads=3, vocab_size=VOCABULARY,
                                        max_position_embeddings=LENGTH + 6)))
    ids, counts = texts(2, 3, 0)
    single_tower("bert", bert, ids=ids, counts=counts)
    vit = roughen(ViTModel(ViTConfig(hidden_size=24, intermediate_size=72, num_hidden_layers=2,
                                     num_attention_heads=2, image_size=SIZE, patch_size=PATCH,
                                     hidden_dropout_prob=0.1)))
    u8 = images()
    single_tower("vit", vit, u8=u8)
    # one training step's gradients of the summary's loss on both together, no dropout
    for model in (bert, vit):
        model.zero_grad()
    mask = (torch.arange(LENGTH)[None] < counts[:, None]).long()
    text = bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    image = vit(pixel_values=pixels(u8, (0.5,) * 3, (0.5,) * 3)).last_hidden_state[:, 0]
    logits = image @ text.T / 5.0
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(COUNT))
    loss.backward()
    # the token type is folded into the positions when it is read: it is no tensor of ours
    bert.embeddings.token_type_embeddings.weight.grad.zero_()
    save_file({"loss": loss.detach().reshape(1)}, root / "bert" / "loss.safetensors")
    for name, model in (("bert", bert), ("vit", vit)):
        # transformers renames tensors as it saves: gradients take the same way, in the weights' place
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(p.grad if p.grad is not None else torch.zeros_like(p))
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            shutil.copy(pathlib.Path(folder) / "model.safetensors", root / name / "gradients.safetensors")


if __name__ == "__main__":
    shutil.rmtree(root, ignore_errors=True)
    hf_clip("hf_quick_gelu", "quick_gelu", torch.float32)
    hf_clip("hf_gelu_half", "gelu", torch.float16)
    oc_clip("open_clip_gelu", {}, {}, False, torch.float32, CLIP_MEAN, CLIP_STD)
    oc_clip("open_clip_variant",
            dict(no_causal_mask=True, pool_type="first", act_kwargs={"approximate": "tanh"}, mlp_ratio=3.0,
                 norm_kwargs={"eps": 1e-3}),
            dict(no_ln_pre=True, act_kwargs={"approximate": "tanh"}, mlp_ratio=2.0, norm_kwargs={"eps": 1e-3}),
            False, torch.bfloat16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    oc_clip("open_clip_eos", dict(pool_type="eos", eos_id=3), {}, True, torch.float32, CLIP_MEAN, CLIP_STD, end=3)
    towers()
