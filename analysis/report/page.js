"use strict";
const choice = document.getElementById("env");
document.getElementById("switch").hidden = false;
choice.addEventListener("change", () => {
  for (const part of document.querySelectorAll("[data-env]")) {
    part.hidden = choice.value !== "" && part.dataset.env !== choice.value;
  }
});
for (const steps of document.querySelectorAll(".steps")) {
  const range = steps.querySelector("input"), pictures = steps.querySelectorAll("[data-step]");
  const show = () => {
    pictures.forEach((picture, place) => { picture.hidden = place !== range.valueAsNumber; });
    const step = pictures[range.valueAsNumber].dataset.step;
    steps.querySelector("output").textContent = step;
    range.setAttribute("aria-valuetext", step);
  };
  range.addEventListener("input", show);
  show();
  steps.hidden = false;
  steps.parentElement.querySelector(".still").classList.add("printed");
}
