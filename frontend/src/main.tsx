import { render } from "preact";
import { App } from "./app";
import { followCredentials } from "./identity";
import "./style.css";

followCredentials();
render(<App />, document.getElementById("page")!);
