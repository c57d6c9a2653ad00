// Loads a page's modules, and the page once more where one of them did not arrive: a browser drops what it is
// loading when the machine's networks change, which in local mode is what starting a desktop does.
const page = document.currentScript.dataset.page;
import(page).then(
  () => sessionStorage.removeItem("axonos.boots"),
  (error) => {
    const boots = Number(sessionStorage.getItem("axonos.boots")) + 1;
    sessionStorage.setItem("axonos.boots", boots);
    if (boots < 5) setTimeout(() => location.reload(), 300 * boots);
    else throw error;
  },
);
