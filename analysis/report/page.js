"use strict";
const choice = document.getElementById("env");
document.getElementById("switch").hidden = false;
choice.addEventListener("change", () => {
  for (const part of document.querySelectorAll("[data-env]")) {
    part.hidden = choice.value !== "" && part.dataset.env !== choice.value;
  }
});
