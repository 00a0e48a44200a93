export default function About() {
  return <p>This page was made when the application was built.</p>;
}
