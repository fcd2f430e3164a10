#version 300 es
// What was blended, over the background.
precision highp float;

uniform highp sampler2D image;
uniform vec3 background;
out vec4 pixel;

void main() {
  vec4 front = texelFetch(image, ivec2(gl_FragCoord.xy), 0);
  pixel = vec4(front.rgb + (1.0 - front.a) * background, 1.0);
}
