window.Redoc.init("/openapi.json", { nativeScrollbars: true, hideLoading: true, disableGoogleFont: true }, document.getElementById("api"));
